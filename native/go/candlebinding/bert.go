package candle_binding

// bertClassifier is what the functions of this file would need.
const bertClassifier = "a BERT classifier"

// InitBertTokenClassifier returns an [UnsupportedError].
func InitBertTokenClassifier(modelPath string, numClasses int, useCPU bool) error {
	return &UnsupportedError{"InitBertTokenClassifier", bertClassifier}
}

// ClassifyBertPIITokens returns an [UnsupportedError].
func ClassifyBertPIITokens(text string, id2labelJson string) (TokenClassificationResult, error) {
	return TokenClassificationResult{}, &UnsupportedError{"ClassifyBertPIITokens", bertClassifier}
}

// ClassifyBertText returns an [UnsupportedError].
func ClassifyBertText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyBertText", bertClassifier}
}

// InitCandleBertClassifier returns false: no such model can be loaded.
func InitCandleBertClassifier(modelPath string, numClasses int, useCPU bool) bool {
	return false
}

// InitCandleBertTokenClassifier returns false: no such model can be loaded.
func InitCandleBertTokenClassifier(modelPath string, numClasses int, useCPU bool) bool {
	return false
}

// ClassifyCandleBertText returns an [UnsupportedError].
func ClassifyCandleBertText(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyCandleBertText", bertClassifier}
}

// ClassifyCandleBertTokens returns an [UnsupportedError].
func ClassifyCandleBertTokens(text string) (TokenClassificationResult, error) {
	return TokenClassificationResult{}, &UnsupportedError{"ClassifyCandleBertTokens", bertClassifier}
}

// ClassifyCandleBertTokensWithLabels returns an [UnsupportedError].
func ClassifyCandleBertTokensWithLabels(text string, id2labelJSON string) (TokenClassificationResult, error) {
	return TokenClassificationResult{}, &UnsupportedError{"ClassifyCandleBertTokensWithLabels", bertClassifier}
}
