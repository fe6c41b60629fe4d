//go:build gms_pure_go && !race

package main

const raceEnabled = false
