// Package conformance holds tests only: the drop-in for the router's binding against the names, types and
// promises that the router relies on, and the absence of leaked goroutines. It is a module of its own, so that
// no other module needs what only tests need.
package conformance
