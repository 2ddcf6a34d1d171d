package candle_binding

import (
	"errors"
	"fmt"

	cachelora "github.com/cachelora/cachelora/native/go"
)

var (
	// ErrBackendUnavailable is what errors.Is finds in the errors of functions that have no model behind them:
	// in a program built without cgo, and in every [UnsupportedError].
	ErrBackendUnavailable = errors.New("candle-binding: no backend for this call")
	// ErrNotInitialized is what errors.Is finds where an embedding was asked of a model that was not opened.
	ErrNotInitialized = errors.New("candle-binding: no bundle was opened for this model")
)

// UnsupportedError is returned by whatever this module can't do. It is [ErrBackendUnavailable] and
// [errors.ErrUnsupported] to errors.Is.
type UnsupportedError struct {
	// Function is the function that was called.
	Function string
	// Missing is what it would need.
	Missing string
}

// Error says what was called, what it needs, and what to do.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("candle-binding: %s needs %s; cachelora embeds sentences only, the router's own binding has the rest",
		e.Function, e.Missing)
}

// Is reports whether target is [ErrBackendUnavailable] or [errors.ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool {
	return target == ErrBackendUnavailable || target == errors.ErrUnsupported
}

// unavailableError is cachelora.ErrUnavailable under the name by which the router knows it.
type unavailableError struct{ err error }

func (e unavailableError) Error() string { return "candle-binding: " + e.err.Error() }
func (e unavailableError) Unwrap() error { return e.err }
func (e unavailableError) Is(target error) bool {
	return target == ErrBackendUnavailable
}

func explain(err error) error {
	if errors.Is(err, cachelora.ErrUnavailable) {
		return unavailableError{err}
	}
	return err
}
