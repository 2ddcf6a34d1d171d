package candle_binding

// multimodal is what the functions of this file would need.
const multimodal = "a model of texts, pictures and sounds"

// InitMultiModalEmbeddingModel returns an [UnsupportedError].
func InitMultiModalEmbeddingModel(modelPath string, useCPU bool) error {
	return &UnsupportedError{"InitMultiModalEmbeddingModel", multimodal}
}

// MultiModalEncodeText returns an [UnsupportedError].
func MultiModalEncodeText(text string, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeText", multimodal}
}

// MultiModalEncodeImage returns an [UnsupportedError].
func MultiModalEncodeImage(pixelData []float32, height, width, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeImage", multimodal}
}

// MultiModalEncodeAudio returns an [UnsupportedError].
func MultiModalEncodeAudio(melData []float32, nMels, timeFrames, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeAudio", multimodal}
}

// MultiModalEncodeImageFromBytes returns an [UnsupportedError].
func MultiModalEncodeImageFromBytes(imageBytes []byte, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeImageFromBytes", multimodal}
}

// MultiModalEncodeImageFromBase64 returns an [UnsupportedError].
func MultiModalEncodeImageFromBase64(base64Str string, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeImageFromBase64", multimodal}
}

// MultiModalEncodeImageFromURL returns an [UnsupportedError].
func MultiModalEncodeImageFromURL(url string, targetDim int) (*MultiModalEmbeddingOutput, error) {
	return nil, &UnsupportedError{"MultiModalEncodeImageFromURL", multimodal}
}
