package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	cachelora "github.com/cachelora/cachelora/native/go"
)

//go:embed questions.txt
var questions string

// What a row may call its question, as in the other benchmarks.
var keys = []string{"query", "anchor", "question", "text"}

// More texts than these would make a turn too long.
const mostTexts = 2000

type tokenCounts struct {
	Mean     float64 `json:"mean"`
	Shortest int     `json:"shortest"`
	Longest  int     `json:"longest"`
}

// readTexts returns the questions of a file, or our own where path is empty.
func readTexts(path string) ([]string, error) {
	if path == "" {
		return parseTexts("questions.txt", strings.NewReader(questions))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--texts: %w", err)
	}
	defer file.Close()
	return parseTexts(path, file)
}

func parseTexts(path string, from io.Reader) ([]string, error) {
	var texts []string
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 16<<20)
	for number := 1; lines.Scan() && len(texts) < mostTexts; number++ {
		text := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(text, "{") {
			var row map[string]any
			if err := json.Unmarshal([]byte(text), &row); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, number, err)
			}
			found := slices.IndexFunc(keys, func(key string) bool { _, ok := row[key].(string); return ok })
			if found < 0 {
				return nil, fmt.Errorf("%s:%d: a key of %s was expected", path, number, strings.Join(keys, ", "))
			}
			text = strings.TrimSpace(row[keys[found]].(string))
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s: has no question", path)
	}
	return texts, nil
}

func countTokens(embedder *cachelora.Embedder, texts []string) (tokenCounts, error) {
	_, infos, err := embedder.EmbedBatchWithInfo(context.Background(), texts)
	if err != nil {
		return tokenCounts{}, err
	}
	counts := tokenCounts{Shortest: infos[0].Tokens}
	for _, info := range infos {
		counts.Mean += float64(info.Tokens) / float64(len(infos))
		counts.Shortest = min(counts.Shortest, info.Tokens)
		counts.Longest = max(counts.Longest, info.Tokens)
	}
	return counts, nil
}

// textOfTokens returns a text of exactly count tokens, special tokens included.
func textOfTokens(embedder *cachelora.Embedder, count int) (string, error) {
	tokens := func(text string) int {
		_, info, err := embedder.EmbedWithInfo(context.Background(), text)
		if err != nil {
			return -1
		}
		return info.Tokens
	}
	special := tokens("")
	var single []string
	for word := range strings.FieldsSeq("how long does the body need to get over a cold when one can not rest at home i reset my password") {
		if tokens(word) == special+1 {
			single = append(single, word)
		}
	}
	if special < 0 || count <= special || len(single) == 0 {
		return "", fmt.Errorf("no text of %d tokens can be made for this bundle's tokenizer", count)
	}
	words := make([]string, count-special)
	for i := range words {
		words[i] = single[i%len(single)]
	}
	text := strings.Join(words, " ")
	if found := tokens(text); found != count {
		return "", fmt.Errorf("this bundle's tokenizer makes %d tokens of a text that should have %d", found, count)
	}
	return text, nil
}
