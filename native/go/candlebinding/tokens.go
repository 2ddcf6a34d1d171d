package candle_binding

// tokens is what the functions of this file would need.
const tokens = "the numbers of a text's tokens, which libcachelora keeps to itself"

// TokenizeText returns an [UnsupportedError].
func TokenizeText(text string, maxLength int) (TokenizeResult, error) {
	return TokenizeResult{}, &UnsupportedError{"TokenizeText", tokens}
}

// TokenizeTextDefault returns an [UnsupportedError].
func TokenizeTextDefault(text string) (TokenizeResult, error) {
	return TokenizeResult{}, &UnsupportedError{"TokenizeTextDefault", tokens}
}
