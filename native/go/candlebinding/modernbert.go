package candle_binding

// modernBertClassifier is what the functions of this file would need.
const modernBertClassifier = "a ModernBERT classifier"

// InitModernBertClassifier returns an [UnsupportedError].
func InitModernBertClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitModernBertClassifier", modernBertClassifier}
}

// InitModernBertPIIClassifier returns an [UnsupportedError].
func InitModernBertPIIClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitModernBertPIIClassifier", modernBertClassifier}
}

// InitModernBertJailbreakClassifier returns an [UnsupportedError].
func InitModernBertJailbreakClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitModernBertJailbreakClassifier", modernBertClassifier}
}

// InitModernBertPIITokenClassifier returns an [UnsupportedError].
func InitModernBertPIITokenClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitModernBertPIITokenClassifier", modernBertClassifier}
}

// ClassifyModernBertText returns an [UnsupportedError].
func ClassifyModernBertText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyModernBertText", modernBertClassifier}
}

// ClassifyModernBertTextWithProbabilities returns an [UnsupportedError].
func ClassifyModernBertTextWithProbabilities(text string) (ClassResultWithProbs, error) {
	return ClassResultWithProbs{}, &UnsupportedError{"ClassifyModernBertTextWithProbabilities", modernBertClassifier}
}

// ClassifyModernBertPIIText returns an [UnsupportedError].
func ClassifyModernBertPIIText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyModernBertPIIText", modernBertClassifier}
}

// ClassifyModernBertJailbreakText returns an [UnsupportedError].
func ClassifyModernBertJailbreakText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyModernBertJailbreakText", modernBertClassifier}
}

// ClassifyModernBertJailbreakTextWithProbs returns an [UnsupportedError].
func ClassifyModernBertJailbreakTextWithProbs(text string) (ClassResultWithProbs, error) {
	return ClassResultWithProbs{}, &UnsupportedError{"ClassifyModernBertJailbreakTextWithProbs", modernBertClassifier}
}

// ClassifyModernBertPIITokens returns an [UnsupportedError].
func ClassifyModernBertPIITokens(text string, modelConfigPath string) (TokenClassificationResult, error) {
	return TokenClassificationResult{}, &UnsupportedError{"ClassifyModernBertPIITokens", modernBertClassifier}
}
