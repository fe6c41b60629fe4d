// Package check tests the manifests of docker/kubernetes: they are built as
// kubectl apply -k builds them and decoded strictly into Kubernetes' own types,
// so that a key that doesn't exist, exists twice, or has a value of the wrong
// type is an error; then what the objects say of each other is compared. It
// has no code of its own besides its tests.
//
// It is a module of its own because the daemon needs nothing of Kubernetes.
package check
