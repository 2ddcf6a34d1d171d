package candle_binding

import "time"

// RegexProviderConfig is the configuration of a scanner of texts.
type RegexProviderConfig struct {
	MaxPatterns      int            `yaml:"max_patterns"`
	MaxPatternLength int            `yaml:"max_pattern_length"`
	MaxInputLength   int            `yaml:"max_input_length"`
	DefaultTimeoutMs int            `yaml:"default_timeout_ms"`
	Patterns         []RegexPattern `yaml:"patterns"`
}

// RegexPattern is one pattern of a scanner.
type RegexPattern struct {
	ID       string `yaml:"id"`
	Pattern  string `yaml:"pattern"`
	Flags    string `yaml:"flags"`
	Category string `yaml:"category"`
}

// MatchResult is one place where a pattern was found.
type MatchResult struct {
	PatternID  string
	Category   string
	Match      string
	StartIndex int
	EndIndex   int
}

// RegexProvider scans nothing.
type RegexProvider struct{}

// NewRegexProvider returns an [UnsupportedError].
func NewRegexProvider(cfg RegexProviderConfig, options ...func(*RegexProvider)) (*RegexProvider, error) {
	return nil, &UnsupportedError{"NewRegexProvider", "a scanner of texts"}
}

// WithTestDelay returns an option that changes nothing.
func WithTestDelay(d time.Duration) func(*RegexProvider) { return func(*RegexProvider) {} }

// Scan returns an [UnsupportedError].
func (rp *RegexProvider) Scan(input string) ([]MatchResult, error) {
	return nil, &UnsupportedError{"RegexProvider.Scan", "a scanner of texts"}
}
