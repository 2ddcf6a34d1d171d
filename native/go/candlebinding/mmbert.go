package candle_binding

// mmBertClassifier is what the functions of this file would need.
const mmBertClassifier = "an mmBERT classifier"

// InitMmBertClassifier returns an [UnsupportedError].
func InitMmBertClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBertClassifier", mmBertClassifier}
}

// InitMmBertClassifierAuto returns an [UnsupportedError].
func InitMmBertClassifierAuto(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBertClassifierAuto", mmBertClassifier}
}

// InitMmBertTokenClassifier returns an [UnsupportedError].
func InitMmBertTokenClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBertTokenClassifier", mmBertClassifier}
}

// IsMmBertModel returns false: no such model can be loaded.
func IsMmBertModel(configPath string) bool {
	return false
}

// IsMmBert32KModel returns false: no such model can be loaded.
func IsMmBert32KModel(configPath string) bool {
	return false
}

// InitMmBert32KIntentClassifier returns an [UnsupportedError].
func InitMmBert32KIntentClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KIntentClassifier", mmBertClassifier}
}

// ClassifyMmBert32KIntent returns an [UnsupportedError].
func ClassifyMmBert32KIntent(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyMmBert32KIntent", mmBertClassifier}
}

// InitMmBert32KFactcheckClassifier returns an [UnsupportedError].
func InitMmBert32KFactcheckClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KFactcheckClassifier", mmBertClassifier}
}

// ClassifyMmBert32KFactcheck returns an [UnsupportedError].
func ClassifyMmBert32KFactcheck(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyMmBert32KFactcheck", mmBertClassifier}
}

// InitMmBert32KJailbreakClassifier returns an [UnsupportedError].
func InitMmBert32KJailbreakClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KJailbreakClassifier", mmBertClassifier}
}

// ClassifyMmBert32KJailbreak returns an [UnsupportedError].
func ClassifyMmBert32KJailbreak(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyMmBert32KJailbreak", mmBertClassifier}
}

// ClassifyMmBert32KJailbreakWithProbs returns an [UnsupportedError].
func ClassifyMmBert32KJailbreakWithProbs(text string) (ClassResultWithProbs, error) {
	return ClassResultWithProbs{}, &UnsupportedError{"ClassifyMmBert32KJailbreakWithProbs", mmBertClassifier}
}

// InitMmBert32KFeedbackClassifier returns an [UnsupportedError].
func InitMmBert32KFeedbackClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KFeedbackClassifier", mmBertClassifier}
}

// ClassifyMmBert32KFeedback returns an [UnsupportedError].
func ClassifyMmBert32KFeedback(text string) (ClassResult, error) {
	return ClassResult{}, &UnsupportedError{"ClassifyMmBert32KFeedback", mmBertClassifier}
}

// InitMmBert32KPIIClassifier returns an [UnsupportedError].
func InitMmBert32KPIIClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KPIIClassifier", mmBertClassifier}
}

// ClassifyMmBert32KPII returns an [UnsupportedError].
func ClassifyMmBert32KPII(text string) ([]TokenEntity, error) {
	return nil, &UnsupportedError{"ClassifyMmBert32KPII", mmBertClassifier}
}

// InitMmBert32KModalityClassifier returns an [UnsupportedError].
func InitMmBert32KModalityClassifier(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMmBert32KModalityClassifier", mmBertClassifier}
}

// ClassifyMmBert32KModality returns an [UnsupportedError].
func ClassifyMmBert32KModality(text string) (ModalityResult, error) {
	return ModalityResult{}, &UnsupportedError{"ClassifyMmBert32KModality", mmBertClassifier}
}
