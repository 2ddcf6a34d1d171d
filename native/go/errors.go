package cachelora

import (
	"errors"
	"io/fs"
)

// Code is a kind of failure; the numbers are those of the C ABI.
type Code int

// The kinds of failure.
const (
	CodeInvalidArgument   Code = 1
	CodeInvalidUTF8       Code = 2
	CodeBufferTooSmall    Code = 3
	CodeBundleNotFound    Code = 10
	CodeBundleInvalid     Code = 11
	CodeBundleCorrupt     Code = 12
	CodeSchemaUnsupported Code = 13
	CodeTokenizer         Code = 14
	CodeRuntimeNotFound   Code = 20
	CodeRuntimeInvalid    Code = 21
	CodeRuntimeTooOld     Code = 22
	CodeInputTooLong      Code = 30
	CodeInference         Code = 31
	CodeNotCalibrated     Code = 32
	CodePanic             Code = 90
)

// What errors.Is compares with.
var (
	ErrInvalidArgument   = &Error{CodeInvalidArgument, "invalid argument"}
	ErrInvalidUTF8       = &Error{CodeInvalidUTF8, "text is not UTF-8"}
	ErrBundleNotFound    = &Error{CodeBundleNotFound, "bundle not found"}
	ErrBundleInvalid     = &Error{CodeBundleInvalid, "bundle invalid"}
	ErrBundleCorrupt     = &Error{CodeBundleCorrupt, "bundle corrupt"}
	ErrSchemaUnsupported = &Error{CodeSchemaUnsupported, "bundle schema unsupported"}
	ErrTokenizer         = &Error{CodeTokenizer, "tokenizer failed"}
	ErrRuntimeNotFound   = &Error{CodeRuntimeNotFound, "no ONNX Runtime library found"}
	ErrRuntimeInvalid    = &Error{CodeRuntimeInvalid, "ONNX Runtime library can't be used"}
	ErrRuntimeTooOld     = &Error{CodeRuntimeTooOld, "ONNX Runtime too old"}
	ErrInputTooLong      = &Error{CodeInputTooLong, "text too long"}
	ErrInference         = &Error{CodeInference, "inference failed"}
	ErrNotCalibrated     = &Error{CodeNotCalibrated, "not calibrated"}
	ErrPanic             = &Error{CodePanic, "a defect of cachelora"}

	// ErrClosed is returned by every call on a closed Embedder.
	ErrClosed = errors.New("cachelora: the embedder is closed")
	// ErrUnavailable is returned by every call of a program that was built without cgo.
	ErrUnavailable = errors.New("cachelora: built without cgo; build with CGO_ENABLED=1 and a C compiler")
)

// Error is a failure that libcachelora reports. Its message says what was wrong, where, and what to do.
type Error struct {
	Code    Code
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return "cachelora: " + e.Message }

// Is reports whether target is of the same kind; a missing file is [fs.ErrNotExist] too.
func (e *Error) Is(target error) bool {
	if target == fs.ErrNotExist {
		return e.Code == CodeBundleNotFound || e.Code == CodeRuntimeNotFound
	}
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}
