package main

const overheadTokens = 16

// overhead is what one call from Go costs beside the same call in C.
type overhead struct {
	Unit         string `json:"unit"`
	Clock        string `json:"clock"`
	Tokens       int    `json:"tokens"`
	Rounds       int    `json:"rounds"`
	CallsPerTurn int    `json:"calls_per_turn"`
	Go           spread `json:"go"`
	C            spread `json:"c"`
	// Share is (Go - C) / C within each round.
	Share  spread  `json:"share"`
	Target float64 `json:"target_at_most"`
}
