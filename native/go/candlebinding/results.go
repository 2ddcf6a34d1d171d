package candle_binding

// The types below are the results of functions that are not served. They are here because the router names
// them.

// TokenizeResult is a text's tokens and their numbers in the vocabulary.
type TokenizeResult struct {
	TokenIDs []int32
	Tokens   []string
}

// ClassResult is a text's class.
type ClassResult struct {
	Class      int
	Confidence float32
	Categories []string
}

// ClassResultWithProbs is a text's class with the probability of every class.
type ClassResultWithProbs struct {
	Class         int
	Confidence    float32
	Probabilities []float32
	NumClasses    int
}

// TokenEntity is a part of a text, such as a name; Start and End are positions in the text.
type TokenEntity struct {
	EntityType string
	Start      int
	End        int
	Text       string
	Confidence float32
}

// TokenClassificationResult is the entities of one text.
type TokenClassificationResult struct {
	Entities []TokenEntity
}

// LoRAIntentResult is a text's intent.
type LoRAIntentResult struct {
	Category   string
	Confidence float32
}

// LoRAPIIResult is whether a text has personal data.
type LoRAPIIResult struct {
	HasPII     bool
	PIITypes   []string
	Confidence float32
}

// LoRASecurityResult is whether a text attacks the model.
type LoRASecurityResult struct {
	IsJailbreak bool
	ThreatType  string
	Confidence  float32
}

// LoRABatchResult is what the three classifiers found in a list of texts.
type LoRABatchResult struct {
	IntentResults   []LoRAIntentResult
	PIIResults      []LoRAPIIResult
	SecurityResults []LoRASecurityResult
	BatchSize       int
	AvgConfidence   float32
}

// MultiModalEmbeddingOutput is the vector of a text, a picture or a sound.
type MultiModalEmbeddingOutput struct {
	Embedding        []float32
	Modality         string
	ProcessingTimeMs float32
}

// ModalityResult is the kind of answer that a text asks for.
type ModalityResult struct {
	Modality   string
	ClassID    int
	Confidence float32
}

// NLILabel is how a premise stands to a hypothesis.
type NLILabel int

// The labels, with the numbers that the router knows.
const (
	NLIEntailment    NLILabel = 0
	NLINeutral       NLILabel = 1
	NLIContradiction NLILabel = 2
	NLIUnknown       NLILabel = 3
	NLIError         NLILabel = -1
)

var nliNames = map[NLILabel]string{
	NLIEntailment: "ENTAILMENT", NLINeutral: "NEUTRAL", NLIContradiction: "CONTRADICTION", NLIUnknown: "UNKNOWN",
}

// String returns the label's name in capitals; ERROR for [NLIError] and every number that is no label.
func (l NLILabel) String() string {
	if name, ok := nliNames[l]; ok {
		return name
	}
	return "ERROR"
}

// HallucinationSpan is a part of an answer that its context does not support.
type HallucinationSpan struct {
	Text       string  `json:"text"`
	Start      int     `json:"start"`
	End        int     `json:"end"`
	Confidence float32 `json:"confidence"`
	Label      string  `json:"label"`
}

// HallucinationDetectionResult is every such part of one answer.
type HallucinationDetectionResult struct {
	HasHallucination bool                `json:"has_hallucination"`
	Confidence       float32             `json:"confidence"`
	Spans            []HallucinationSpan `json:"spans,omitempty"`
}

// NLIClassificationResult is how a premise stands to a hypothesis, with probabilities.
type NLIClassificationResult struct {
	Label          NLILabel `json:"label"`
	LabelStr       string   `json:"label_str"`
	Confidence     float32  `json:"confidence"`
	EntailmentProb float32  `json:"entailment_prob"`
	NeutralProb    float32  `json:"neutral_prob"`
	ContradictProb float32  `json:"contradiction_prob"`
}

// EnhancedHallucinationSpan is a [HallucinationSpan] with the reason why it is one.
type EnhancedHallucinationSpan struct {
	Text                    string   `json:"text"`
	Start                   int      `json:"start"`
	End                     int      `json:"end"`
	HallucinationConfidence float32  `json:"hallucination_confidence"`
	NLILabel                NLILabel `json:"nli_label"`
	NLILabelStr             string   `json:"nli_label_str"`
	NLIConfidence           float32  `json:"nli_confidence"`
	Severity                int      `json:"severity"`
	Explanation             string   `json:"explanation"`
}

// EnhancedHallucinationDetectionResult is every such part of one answer.
type EnhancedHallucinationDetectionResult struct {
	HasHallucination bool                        `json:"has_hallucination"`
	Confidence       float32                     `json:"confidence"`
	Spans            []EnhancedHallucinationSpan `json:"spans,omitempty"`
}

// Qwen3LoRAResult is a text's category.
type Qwen3LoRAResult struct {
	ClassID       int
	Confidence    float32
	CategoryName  string
	Probabilities []float32
	NumCategories int
}

// SafetyClassificationResult is what a guard model says of a text.
type SafetyClassificationResult struct {
	SafetyLabel string
	Categories  []string
	RawOutput   string
}
