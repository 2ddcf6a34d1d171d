package candle_binding

// qwen3Generator is what the functions of this file would need.
const qwen3Generator = "a generating Qwen3 model"

// InitQwen3MultiLoRAClassifier returns an [UnsupportedError].
func InitQwen3MultiLoRAClassifier(baseModelPath string) error {
	return &UnsupportedError{"InitQwen3MultiLoRAClassifier", qwen3Generator}
}

// LoadQwen3LoRAAdapter returns an [UnsupportedError].
func LoadQwen3LoRAAdapter(adapterName, adapterPath string) error {
	return &UnsupportedError{"LoadQwen3LoRAAdapter", qwen3Generator}
}

// ClassifyWithQwen3Adapter returns an [UnsupportedError].
func ClassifyWithQwen3Adapter(text, adapterName string) (*Qwen3LoRAResult, error) {
	return nil, &UnsupportedError{"ClassifyWithQwen3Adapter", qwen3Generator}
}

// GetQwen3LoadedAdapters returns an [UnsupportedError].
func GetQwen3LoadedAdapters() ([]string, error) {
	return nil, &UnsupportedError{"GetQwen3LoadedAdapters", qwen3Generator}
}

// ClassifyZeroShotQwen3 returns an [UnsupportedError].
func ClassifyZeroShotQwen3(text string, categories []string) (*Qwen3LoRAResult, error) {
	return nil, &UnsupportedError{"ClassifyZeroShotQwen3", qwen3Generator}
}

// InitQwen3Guard returns an [UnsupportedError].
func InitQwen3Guard(modelPath string) error {
	return &UnsupportedError{"InitQwen3Guard", qwen3Generator}
}

// ClassifyPromptSafety returns an [UnsupportedError].
func ClassifyPromptSafety(text string) (*SafetyClassificationResult, error) {
	return nil, &UnsupportedError{"ClassifyPromptSafety", qwen3Generator}
}

// ClassifyResponseSafety returns an [UnsupportedError].
func ClassifyResponseSafety(text string) (*SafetyClassificationResult, error) {
	return nil, &UnsupportedError{"ClassifyResponseSafety", qwen3Generator}
}

// GetGuardRawOutput returns an [UnsupportedError].
func GetGuardRawOutput(text string, mode string) (string, error) {
	return "", &UnsupportedError{"GetGuardRawOutput", qwen3Generator}
}

// IsQwen3GuardInitialized returns false: no such model can be loaded.
func IsQwen3GuardInitialized() bool {
	return false
}

// IsQwen3MultiLoRAInitialized returns false: no such model can be loaded.
func IsQwen3MultiLoRAInitialized() bool {
	return false
}
