//go:build gms_pure_go && race

package main

// raceEnabled: the race detector makes everything several times slower.
const raceEnabled = true
