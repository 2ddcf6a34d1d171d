package cachelora

// Option changes how a bundle is opened.
type Option func(*options)

type options struct {
	rejectTooLong bool
	threads       int
	backend       Backend
	onnxRuntime   string
}

// Backend is which encoder computes the vectors.
type Backend uint32

const (
	// BackendAuto is the fused encoder where the bundle has its weights, else ONNX Runtime.
	BackendAuto Backend = iota
	// BackendFused insists on the fused encoder; a bundle without its weights is [ErrBundleInvalid].
	BackendFused
	// BackendONNXRuntime insists on ONNX Runtime, the float32 reference.
	BackendONNXRuntime
)

// RejectTooLong makes texts with more tokens than the model reads fail with [ErrInputTooLong]. Without
// it their first tokens are used, and [InputInfo] says so.
func RejectTooLong() Option {
	return func(o *options) { o.rejectTooLong = true }
}

// WithThreads sets how many threads share the work of one EmbedBatch; the default is 1. One text always
// runs on its caller's thread.
func WithThreads(threads int) Option {
	return func(o *options) { o.threads = threads }
}

// WithBackend chooses the encoder; the default is [BackendAuto].
func WithBackend(backend Backend) Option {
	return func(o *options) { o.backend = backend }
}

// WithONNXRuntime names the ONNX Runtime library file; without it one is searched for: the variable
// CACHELORA_ONNXRUNTIME, an installed Python wheel, the system's libraries.
func WithONNXRuntime(path string) Option {
	return func(o *options) { o.onnxRuntime = path }
}
