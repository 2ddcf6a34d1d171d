package candle_binding

// classifier is what the functions of this file would need.
const classifier = "a classifier"

// InitClassifier returns an [UnsupportedError].
func InitClassifier(modelPath string, numClasses int, useCPU bool) error {
	return &UnsupportedError{"InitClassifier", classifier}
}

// InitGenericClassifier returns an [UnsupportedError].
func InitGenericClassifier(modelPath string, numClasses int, useCPU bool) error {
	return &UnsupportedError{"InitGenericClassifier", classifier}
}

// InitPIIClassifier returns an [UnsupportedError].
func InitPIIClassifier(modelPath string, numClasses int, useCPU bool) error {
	return &UnsupportedError{"InitPIIClassifier", classifier}
}

// InitJailbreakClassifier returns an [UnsupportedError].
func InitJailbreakClassifier(modelPath string, numClasses int, useCPU bool) error {
	return &UnsupportedError{"InitJailbreakClassifier", classifier}
}

// ClassifyText returns an [UnsupportedError].
func ClassifyText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyText", classifier}
}

// ClassifyTextWithProbabilities returns an [UnsupportedError].
func ClassifyTextWithProbabilities(text string) (ClassResultWithProbs, error) {
	return ClassResultWithProbs{}, &UnsupportedError{"ClassifyTextWithProbabilities", classifier}
}

// ClassifyPIIText returns an [UnsupportedError].
func ClassifyPIIText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyPIIText", classifier}
}

// ClassifyJailbreakText returns an [UnsupportedError].
func ClassifyJailbreakText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyJailbreakText", classifier}
}

// ClassifyJailbreakTextWithProbs returns an [UnsupportedError].
func ClassifyJailbreakTextWithProbs(text string) (ClassResultWithProbs, error) {
	return ClassResultWithProbs{}, &UnsupportedError{"ClassifyJailbreakTextWithProbs", classifier}
}

// InitDebertaJailbreakClassifier returns an [UnsupportedError].
func InitDebertaJailbreakClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitDebertaJailbreakClassifier", classifier}
}

// ClassifyDebertaJailbreakText returns an [UnsupportedError].
func ClassifyDebertaJailbreakText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyDebertaJailbreakText", classifier}
}

// InitFactCheckClassifier returns an [UnsupportedError].
func InitFactCheckClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitFactCheckClassifier", classifier}
}

// ClassifyFactCheckText returns an [UnsupportedError].
func ClassifyFactCheckText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyFactCheckText", classifier}
}

// InitFeedbackDetector returns an [UnsupportedError].
func InitFeedbackDetector(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitFeedbackDetector", classifier}
}

// ClassifyFeedbackText returns an [UnsupportedError].
func ClassifyFeedbackText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyFeedbackText", classifier}
}

// InitLoRAUnifiedClassifier returns an [UnsupportedError].
func InitLoRAUnifiedClassifier(intentModelPath, piiModelPath, securityModelPath, architecture string, useCPU bool) error {
	return &UnsupportedError{"InitLoRAUnifiedClassifier", classifier}
}

// ClassifyBatchWithLoRA returns an [UnsupportedError].
func ClassifyBatchWithLoRA(texts []string) (LoRABatchResult, error) {
	return LoRABatchResult{}, &UnsupportedError{"ClassifyBatchWithLoRA", classifier}
}
