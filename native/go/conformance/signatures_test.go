//go:build cgo && !nocgo

package conformance

import (
	"fmt"
	"reflect"
	"time"

	candle "github.com/vllm-project/semantic-router/candle-binding"
)

// functions are the functions that the router may name, each with the signature by which it calls it.
var functions = map[string]struct {
	function  any
	signature string
}{
	"NewRegexProvider":                         {candle.NewRegexProvider, "func(candle_binding.RegexProviderConfig, ...func(*candle_binding.RegexProvider)) (*candle_binding.RegexProvider, error)"},
	"WithTestDelay":                            {candle.WithTestDelay, "func(time.Duration) func(*candle_binding.RegexProvider)"},
	"InitModel":                                {candle.InitModel, "func(string, bool) error"},
	"TokenizeText":                             {candle.TokenizeText, "func(string, int) (candle_binding.TokenizeResult, error)"},
	"TokenizeTextDefault":                      {candle.TokenizeTextDefault, "func(string) (candle_binding.TokenizeResult, error)"},
	"GetEmbedding":                             {candle.GetEmbedding, "func(string, int) ([]float32, error)"},
	"GetEmbeddingDefault":                      {candle.GetEmbeddingDefault, "func(string) ([]float32, error)"},
	"GetEmbeddingSmart":                        {candle.GetEmbeddingSmart, "func(string, float32, float32) ([]float32, error)"},
	"InitEmbeddingModelsBatched":               {candle.InitEmbeddingModelsBatched, "func(string, int, uint64, bool) error"},
	"GetEmbeddingBatched":                      {candle.GetEmbeddingBatched, "func(string, string, int) (*candle_binding.EmbeddingOutput, error)"},
	"InitEmbeddingModels":                      {candle.InitEmbeddingModels, "func(string, string, string, bool) error"},
	"InitMmBertEmbeddingModel":                 {candle.InitMmBertEmbeddingModel, "func(string, bool) error"},
	"InitMultiModalEmbeddingModel":             {candle.InitMultiModalEmbeddingModel, "func(string, bool) error"},
	"MultiModalEncodeText":                     {candle.MultiModalEncodeText, "func(string, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"MultiModalEncodeImage":                    {candle.MultiModalEncodeImage, "func([]float32, int, int, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"MultiModalEncodeAudio":                    {candle.MultiModalEncodeAudio, "func([]float32, int, int, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"MultiModalEncodeImageFromBytes":           {candle.MultiModalEncodeImageFromBytes, "func([]uint8, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"MultiModalEncodeImageFromBase64":          {candle.MultiModalEncodeImageFromBase64, "func(string, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"MultiModalEncodeImageFromURL":             {candle.MultiModalEncodeImageFromURL, "func(string, int) (*candle_binding.MultiModalEmbeddingOutput, error)"},
	"InitEmbeddingModelsWithMmBert":            {candle.InitEmbeddingModelsWithMmBert, "func(string, string, string, bool) error"},
	"GetEmbeddingWithDim":                      {candle.GetEmbeddingWithDim, "func(string, float32, float32, int) ([]float32, error)"},
	"GetEmbeddingWithMetadata":                 {candle.GetEmbeddingWithMetadata, "func(string, float32, float32, int) (*candle_binding.EmbeddingOutput, error)"},
	"GetEmbeddingWithModelType":                {candle.GetEmbeddingWithModelType, "func(string, string, int) (*candle_binding.EmbeddingOutput, error)"},
	"GetEmbedding2DMatryoshka":                 {candle.GetEmbedding2DMatryoshka, "func(string, string, int, int) (*candle_binding.EmbeddingOutput, error)"},
	"CalculateSimilarity":                      {candle.CalculateSimilarity, "func(string, string, int) float32"},
	"CalculateSimilarityDefault":               {candle.CalculateSimilarityDefault, "func(string, string) float32"},
	"CalculateEmbeddingSimilarity":             {candle.CalculateEmbeddingSimilarity, "func(string, string, string, int) (*candle_binding.SimilarityOutput, error)"},
	"CalculateSimilarityBatch":                 {candle.CalculateSimilarityBatch, "func(string, []string, int, string, int) (*candle_binding.BatchSimilarityOutput, error)"},
	"GetEmbeddingModelsInfo":                   {candle.GetEmbeddingModelsInfo, "func() (*candle_binding.ModelsInfoOutput, error)"},
	"FindMostSimilar":                          {candle.FindMostSimilar, "func(string, []string, int) candle_binding.SimResult"},
	"FindMostSimilarDefault":                   {candle.FindMostSimilarDefault, "func(string, []string) candle_binding.SimResult"},
	"SetMemoryCleanupHandler":                  {candle.SetMemoryCleanupHandler, "func()"},
	"IsModelInitialized":                       {candle.IsModelInitialized, "func() (bool, bool)"},
	"InitClassifier":                           {candle.InitClassifier, "func(string, int, bool) error"},
	"InitGenericClassifier":                    {candle.InitGenericClassifier, "func(string, int, bool) error"},
	"InitPIIClassifier":                        {candle.InitPIIClassifier, "func(string, int, bool) error"},
	"InitJailbreakClassifier":                  {candle.InitJailbreakClassifier, "func(string, int, bool) error"},
	"ClassifyText":                             {candle.ClassifyText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyTextWithProbabilities":            {candle.ClassifyTextWithProbabilities, "func(string) (candle_binding.ClassResultWithProbs, error)"},
	"ClassifyPIIText":                          {candle.ClassifyPIIText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyJailbreakText":                    {candle.ClassifyJailbreakText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyJailbreakTextWithProbs":           {candle.ClassifyJailbreakTextWithProbs, "func(string) (candle_binding.ClassResultWithProbs, error)"},
	"InitModernBertClassifier":                 {candle.InitModernBertClassifier, "func(string, bool) error"},
	"InitModernBertPIIClassifier":              {candle.InitModernBertPIIClassifier, "func(string, bool) error"},
	"InitModernBertJailbreakClassifier":        {candle.InitModernBertJailbreakClassifier, "func(string, bool) error"},
	"InitModernBertPIITokenClassifier":         {candle.InitModernBertPIITokenClassifier, "func(string, bool) error"},
	"InitMmBertClassifier":                     {candle.InitMmBertClassifier, "func(string, bool) error"},
	"InitMmBertClassifierAuto":                 {candle.InitMmBertClassifierAuto, "func(string, bool) error"},
	"InitMmBertTokenClassifier":                {candle.InitMmBertTokenClassifier, "func(string, bool) error"},
	"IsMmBertModel":                            {candle.IsMmBertModel, "func(string) bool"},
	"IsMmBert32KModel":                         {candle.IsMmBert32KModel, "func(string) bool"},
	"InitMmBert32KIntentClassifier":            {candle.InitMmBert32KIntentClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KIntent":                  {candle.ClassifyMmBert32KIntent, "func(string) (candle_binding.ClassResult, error)"},
	"InitMmBert32KFactcheckClassifier":         {candle.InitMmBert32KFactcheckClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KFactcheck":               {candle.ClassifyMmBert32KFactcheck, "func(string) (candle_binding.ClassResult, error)"},
	"InitMmBert32KJailbreakClassifier":         {candle.InitMmBert32KJailbreakClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KJailbreak":               {candle.ClassifyMmBert32KJailbreak, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyMmBert32KJailbreakWithProbs":      {candle.ClassifyMmBert32KJailbreakWithProbs, "func(string) (candle_binding.ClassResultWithProbs, error)"},
	"InitMmBert32KFeedbackClassifier":          {candle.InitMmBert32KFeedbackClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KFeedback":                {candle.ClassifyMmBert32KFeedback, "func(string) (candle_binding.ClassResult, error)"},
	"InitMmBert32KPIIClassifier":               {candle.InitMmBert32KPIIClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KPII":                     {candle.ClassifyMmBert32KPII, "func(string) ([]candle_binding.TokenEntity, error)"},
	"InitMmBert32KModalityClassifier":          {candle.InitMmBert32KModalityClassifier, "func(string, bool) error"},
	"ClassifyMmBert32KModality":                {candle.ClassifyMmBert32KModality, "func(string) (candle_binding.ModalityResult, error)"},
	"InitFactCheckClassifier":                  {candle.InitFactCheckClassifier, "func(string, bool) error"},
	"ClassifyFactCheckText":                    {candle.ClassifyFactCheckText, "func(string) (candle_binding.ClassResult, error)"},
	"InitFeedbackDetector":                     {candle.InitFeedbackDetector, "func(string, bool) error"},
	"ClassifyFeedbackText":                     {candle.ClassifyFeedbackText, "func(string) (candle_binding.ClassResult, error)"},
	"InitHallucinationModel":                   {candle.InitHallucinationModel, "func(string, bool) error"},
	"InitNLIModel":                             {candle.InitNLIModel, "func(string, bool) error"},
	"IsNLIModelInitialized":                    {candle.IsNLIModelInitialized, "func() bool"},
	"DetectHallucinations":                     {candle.DetectHallucinations, "func(string, string, string, float32) (*candle_binding.HallucinationDetectionResult, error)"},
	"ClassifyNLI":                              {candle.ClassifyNLI, "func(string, string) (*candle_binding.NLIClassificationResult, error)"},
	"DetectHallucinationsWithNLI":              {candle.DetectHallucinationsWithNLI, "func(string, string, string, float32) (*candle_binding.EnhancedHallucinationDetectionResult, error)"},
	"ClassifyModernBertText":                   {candle.ClassifyModernBertText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyModernBertTextWithProbabilities":  {candle.ClassifyModernBertTextWithProbabilities, "func(string) (candle_binding.ClassResultWithProbs, error)"},
	"ClassifyModernBertPIIText":                {candle.ClassifyModernBertPIIText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyModernBertJailbreakText":          {candle.ClassifyModernBertJailbreakText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyModernBertJailbreakTextWithProbs": {candle.ClassifyModernBertJailbreakTextWithProbs, "func(string) (candle_binding.ClassResultWithProbs, error)"},
	"InitDebertaJailbreakClassifier":           {candle.InitDebertaJailbreakClassifier, "func(string, bool) error"},
	"ClassifyDebertaJailbreakText":             {candle.ClassifyDebertaJailbreakText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyModernBertPIITokens":              {candle.ClassifyModernBertPIITokens, "func(string, string) (candle_binding.TokenClassificationResult, error)"},
	"InitBertTokenClassifier":                  {candle.InitBertTokenClassifier, "func(string, int, bool) error"},
	"ClassifyBertPIITokens":                    {candle.ClassifyBertPIITokens, "func(string, string) (candle_binding.TokenClassificationResult, error)"},
	"ClassifyBertText":                         {candle.ClassifyBertText, "func(string) (candle_binding.ClassResult, error)"},
	"InitCandleBertClassifier":                 {candle.InitCandleBertClassifier, "func(string, int, bool) bool"},
	"InitCandleBertTokenClassifier":            {candle.InitCandleBertTokenClassifier, "func(string, int, bool) bool"},
	"ClassifyCandleBertText":                   {candle.ClassifyCandleBertText, "func(string) (candle_binding.ClassResult, error)"},
	"ClassifyCandleBertTokens":                 {candle.ClassifyCandleBertTokens, "func(string) (candle_binding.TokenClassificationResult, error)"},
	"ClassifyCandleBertTokensWithLabels":       {candle.ClassifyCandleBertTokensWithLabels, "func(string, string) (candle_binding.TokenClassificationResult, error)"},
	"InitLoRAUnifiedClassifier":                {candle.InitLoRAUnifiedClassifier, "func(string, string, string, string, bool) error"},
	"ClassifyBatchWithLoRA":                    {candle.ClassifyBatchWithLoRA, "func([]string) (candle_binding.LoRABatchResult, error)"},
	"InitQwen3MultiLoRAClassifier":             {candle.InitQwen3MultiLoRAClassifier, "func(string) error"},
	"LoadQwen3LoRAAdapter":                     {candle.LoadQwen3LoRAAdapter, "func(string, string) error"},
	"ClassifyWithQwen3Adapter":                 {candle.ClassifyWithQwen3Adapter, "func(string, string) (*candle_binding.Qwen3LoRAResult, error)"},
	"GetQwen3LoadedAdapters":                   {candle.GetQwen3LoadedAdapters, "func() ([]string, error)"},
	"ClassifyZeroShotQwen3":                    {candle.ClassifyZeroShotQwen3, "func(string, []string) (*candle_binding.Qwen3LoRAResult, error)"},
	"InitQwen3Guard":                           {candle.InitQwen3Guard, "func(string) error"},
	"ClassifyPromptSafety":                     {candle.ClassifyPromptSafety, "func(string) (*candle_binding.SafetyClassificationResult, error)"},
	"ClassifyResponseSafety":                   {candle.ClassifyResponseSafety, "func(string) (*candle_binding.SafetyClassificationResult, error)"},
	"GetGuardRawOutput":                        {candle.GetGuardRawOutput, "func(string, string) (string, error)"},
	"IsQwen3GuardInitialized":                  {candle.IsQwen3GuardInitialized, "func() bool"},
	"IsQwen3MultiLoRAInitialized":              {candle.IsQwen3MultiLoRAInitialized, "func() bool"},
	"NewMLPSelector":                           {candle.NewMLPSelector, "func() *candle_binding.MLPSelector"},
	"NewMLPSelectorWithDevice":                 {candle.NewMLPSelectorWithDevice, "func(candle_binding.MLPDeviceType) *candle_binding.MLPSelector"},
	"NewMLPSelectorWithDeviceAndDType":         {candle.NewMLPSelectorWithDeviceAndDType, "func(candle_binding.MLPDeviceType, candle_binding.MLPDType) *candle_binding.MLPSelector"},
	"MLPFromJSON":                              {candle.MLPFromJSON, "func(string) (*candle_binding.MLPSelector, error)"},
	"MLPFromJSONWithDevice":                    {candle.MLPFromJSONWithDevice, "func(string, candle_binding.MLPDeviceType) (*candle_binding.MLPSelector, error)"},
	"MLPFromJSONWithDeviceAndDType":            {candle.MLPFromJSONWithDeviceAndDType, "func(string, candle_binding.MLPDeviceType, candle_binding.MLPDType) (*candle_binding.MLPSelector, error)"},
}

// structs are the structures whose fields the router reads, in their order, with their tags.
var structs = map[string]struct {
	value  any
	fields []string
}{
	"RegexProviderConfig": {candle.RegexProviderConfig{}, []string{
		`MaxPatterns int yaml:"max_patterns"`,
		`MaxPatternLength int yaml:"max_pattern_length"`,
		`MaxInputLength int yaml:"max_input_length"`,
		`DefaultTimeoutMs int yaml:"default_timeout_ms"`,
		`Patterns []candle_binding.RegexPattern yaml:"patterns"`,
	}},
	"RegexPattern": {candle.RegexPattern{}, []string{
		`ID string yaml:"id"`,
		`Pattern string yaml:"pattern"`,
		`Flags string yaml:"flags"`,
		`Category string yaml:"category"`,
	}},
	"RegexProvider": {candle.RegexProvider{}, []string{}},
	"MatchResult": {candle.MatchResult{}, []string{
		`PatternID string`,
		`Category string`,
		`Match string`,
		`StartIndex int`,
		`EndIndex int`,
	}},
	"TokenizeResult": {candle.TokenizeResult{}, []string{
		`TokenIDs []int32`,
		`Tokens []string`,
	}},
	"SimResult": {candle.SimResult{}, []string{
		`Index int`,
		`Score float32`,
	}},
	"ClassResult": {candle.ClassResult{}, []string{
		`Class int`,
		`Confidence float32`,
		`Categories []string`,
	}},
	"ClassResultWithProbs": {candle.ClassResultWithProbs{}, []string{
		`Class int`,
		`Confidence float32`,
		`Probabilities []float32`,
		`NumClasses int`,
	}},
	"TokenEntity": {candle.TokenEntity{}, []string{
		`EntityType string`,
		`Start int`,
		`End int`,
		`Text string`,
		`Confidence float32`,
	}},
	"TokenClassificationResult": {candle.TokenClassificationResult{}, []string{
		`Entities []candle_binding.TokenEntity`,
	}},
	"LoRAIntentResult": {candle.LoRAIntentResult{}, []string{
		`Category string`,
		`Confidence float32`,
	}},
	"LoRAPIIResult": {candle.LoRAPIIResult{}, []string{
		`HasPII bool`,
		`PIITypes []string`,
		`Confidence float32`,
	}},
	"LoRASecurityResult": {candle.LoRASecurityResult{}, []string{
		`IsJailbreak bool`,
		`ThreatType string`,
		`Confidence float32`,
	}},
	"LoRABatchResult": {candle.LoRABatchResult{}, []string{
		`IntentResults []candle_binding.LoRAIntentResult`,
		`PIIResults []candle_binding.LoRAPIIResult`,
		`SecurityResults []candle_binding.LoRASecurityResult`,
		`BatchSize int`,
		`AvgConfidence float32`,
	}},
	"EmbeddingOutput": {candle.EmbeddingOutput{}, []string{
		`Embedding []float32`,
		`ModelType string`,
		`SequenceLength int`,
		`ProcessingTimeMs float32`,
	}},
	"MultiModalEmbeddingOutput": {candle.MultiModalEmbeddingOutput{}, []string{
		`Embedding []float32`,
		`Modality string`,
		`ProcessingTimeMs float32`,
	}},
	"SimilarityOutput": {candle.SimilarityOutput{}, []string{
		`Similarity float32`,
		`ModelType string`,
		`ProcessingTimeMs float32`,
	}},
	"BatchSimilarityMatch": {candle.BatchSimilarityMatch{}, []string{
		`Index int`,
		`Similarity float32`,
	}},
	"BatchSimilarityOutput": {candle.BatchSimilarityOutput{}, []string{
		`Matches []candle_binding.BatchSimilarityMatch`,
		`ModelType string`,
		`ProcessingTimeMs float32`,
	}},
	"ModelInfo": {candle.ModelInfo{}, []string{
		`ModelName string`,
		`IsLoaded bool`,
		`MaxSequenceLength int`,
		`DefaultDimension int`,
		`ModelPath string`,
	}},
	"ModelsInfoOutput": {candle.ModelsInfoOutput{}, []string{
		`Models []candle_binding.ModelInfo`,
	}},
	"ModalityResult": {candle.ModalityResult{}, []string{
		`Modality string`,
		`ClassID int`,
		`Confidence float32`,
	}},
	"HallucinationSpan": {candle.HallucinationSpan{}, []string{
		`Text string json:"text"`,
		`Start int json:"start"`,
		`End int json:"end"`,
		`Confidence float32 json:"confidence"`,
		`Label string json:"label"`,
	}},
	"HallucinationDetectionResult": {candle.HallucinationDetectionResult{}, []string{
		`HasHallucination bool json:"has_hallucination"`,
		`Confidence float32 json:"confidence"`,
		`Spans []candle_binding.HallucinationSpan json:"spans,omitempty"`,
	}},
	"NLIClassificationResult": {candle.NLIClassificationResult{}, []string{
		`Label candle_binding.NLILabel json:"label"`,
		`LabelStr string json:"label_str"`,
		`Confidence float32 json:"confidence"`,
		`EntailmentProb float32 json:"entailment_prob"`,
		`NeutralProb float32 json:"neutral_prob"`,
		`ContradictProb float32 json:"contradiction_prob"`,
	}},
	"EnhancedHallucinationSpan": {candle.EnhancedHallucinationSpan{}, []string{
		`Text string json:"text"`,
		`Start int json:"start"`,
		`End int json:"end"`,
		`HallucinationConfidence float32 json:"hallucination_confidence"`,
		`NLILabel candle_binding.NLILabel json:"nli_label"`,
		`NLILabelStr string json:"nli_label_str"`,
		`NLIConfidence float32 json:"nli_confidence"`,
		`Severity int json:"severity"`,
		`Explanation string json:"explanation"`,
	}},
	"EnhancedHallucinationDetectionResult": {candle.EnhancedHallucinationDetectionResult{}, []string{
		`HasHallucination bool json:"has_hallucination"`,
		`Confidence float32 json:"confidence"`,
		`Spans []candle_binding.EnhancedHallucinationSpan json:"spans,omitempty"`,
	}},
	"Qwen3LoRAResult": {candle.Qwen3LoRAResult{}, []string{
		`ClassID int`,
		`Confidence float32`,
		`CategoryName string`,
		`Probabilities []float32`,
		`NumCategories int`,
	}},
	"SafetyClassificationResult": {candle.SafetyClassificationResult{}, []string{
		`SafetyLabel string`,
		`Categories []string`,
		`RawOutput string`,
	}},
	"MLPSelector": {candle.MLPSelector{}, []string{}},
}

// The methods and constants, which the compiler checks.
var (
	_ func(candle.NLILabel) string                                      = candle.NLILabel.String
	_ func(*candle.MLPSelector)                                         = (*candle.MLPSelector).Close
	_ func(*candle.MLPSelector, []float64) (string, error)              = (*candle.MLPSelector).Select
	_ func(*candle.MLPSelector) bool                                    = (*candle.MLPSelector).IsTrained
	_ func(*candle.MLPSelector) (string, error)                         = (*candle.MLPSelector).ToJSON
	_ func(*candle.RegexProvider, string) ([]candle.MatchResult, error) = (*candle.RegexProvider).Scan
	_ error                                                             = candle.ErrBackendUnavailable
	_ func(time.Duration) func(*candle.RegexProvider)                   = candle.WithTestDelay

	_ = [...]candle.NLILabel{candle.NLIEntailment, candle.NLINeutral, candle.NLIContradiction, candle.NLIUnknown, candle.NLIError}
	_ = [...]candle.MLPDeviceType{candle.MLPDeviceCPU, candle.MLPDeviceCUDA, candle.MLPDeviceMetal}
	_ = [...]candle.MLPDType{candle.MLPF32, candle.MLPF16, candle.MLPBF16}
)

func fieldsOf(value any) []string {
	kind := reflect.TypeOf(value)
	var fields []string
	for i := range kind.NumField() {
		field := kind.Field(i)
		if !field.IsExported() {
			continue
		}
		text := fmt.Sprintf("%s %s", field.Name, field.Type)
		if field.Tag != "" {
			text += " " + string(field.Tag)
		}
		fields = append(fields, text)
	}
	return fields
}
