package candle_binding

// hallucinationDetector is what the functions of this file would need.
const hallucinationDetector = "a model that finds unsupported claims"

// InitHallucinationModel returns an [UnsupportedError].
func InitHallucinationModel(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitHallucinationModel", hallucinationDetector}
}

// InitNLIModel returns an [UnsupportedError].
func InitNLIModel(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitNLIModel", hallucinationDetector}
}

// IsNLIModelInitialized returns false: no such model can be loaded.
func IsNLIModelInitialized() bool {
	return false
}

// DetectHallucinations returns an [UnsupportedError].
func DetectHallucinations(context, question, answer string, threshold float32) (*HallucinationDetectionResult, error) {
	return nil, &UnsupportedError{"DetectHallucinations", hallucinationDetector}
}

// ClassifyNLI returns an [UnsupportedError].
func ClassifyNLI(premise, hypothesis string) (*NLIClassificationResult, error) {
	return nil, &UnsupportedError{"ClassifyNLI", hallucinationDetector}
}

// DetectHallucinationsWithNLI returns an [UnsupportedError].
func DetectHallucinationsWithNLI(context, question, answer string, threshold float32) (*EnhancedHallucinationDetectionResult, error) {
	return nil, &UnsupportedError{"DetectHallucinationsWithNLI", hallucinationDetector}
}
