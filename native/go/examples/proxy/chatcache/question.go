package chatcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// question is a chat request that may be answered from the cache.
type question struct {
	// text is what is compared by meaning: the last message.
	text string
	// scope stands for everything that must be equal to the byte: the rest of the request, who asks, and the
	// domain.
	scope string
}

// identity are the headers that say who asks; nobody gets answers that were made for somebody else.
var identity = []string{"Authorization", "Api-Key", "Openai-Organization", "Openai-Project", "Cookie"}

// read returns what of a chat request the cache needs. An error says why it can't be answered from the cache.
func read(body []byte, header http.Header, path, domain string) (question, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var request map[string]any
	if err := decoder.Decode(&request); err != nil {
		return question{}, fmt.Errorf("the body is no JSON object: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return question{}, errors.New("the body has something behind its JSON object")
	}
	for _, key := range []string{"tools", "functions"} {
		if request[key] != nil {
			return question{}, fmt.Errorf("it has %s: a step of an agent is not a question", key)
		}
	}
	messages, _ := request["messages"].([]any)
	if len(messages) == 0 {
		return question{}, errors.New("it has no messages")
	}
	last, _ := messages[len(messages)-1].(map[string]any)
	if last["role"] != "user" {
		return question{}, errors.New("its last message is not the user's")
	}
	text, err := textOf(last["content"])
	if err != nil {
		return question{}, err
	}
	last["content"] = nil
	// Marshalling sorts the keys, so that their order makes no difference.
	rest, err := json.Marshal(request)
	if err != nil {
		return question{}, err
	}
	hash := sha256.New()
	for _, part := range append([]string{path, domain, string(rest)}, headerValues(header)...) {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return question{text: text, scope: hex.EncodeToString(hash.Sum(nil)[:16])}, nil
}

func headerValues(header http.Header) []string {
	var values []string
	for _, name := range identity {
		values = append(values, strings.Join(header.Values(name), "\n"))
	}
	return values
}

// textOf returns a message's text; its content is a text, or a list of parts that all are.
func textOf(content any) (string, error) {
	if text, ok := content.(string); ok && strings.TrimSpace(text) != "" {
		return text, nil
	}
	parts, _ := content.([]any)
	var texts []string
	for _, part := range parts {
		fields, _ := part.(map[string]any)
		text, ok := fields["text"].(string)
		if fields["type"] != "text" || !ok || len(fields) != 2 {
			return "", errors.New("its last message is not only text")
		}
		texts = append(texts, text)
	}
	if text := strings.Join(texts, "\n"); strings.TrimSpace(text) != "" {
		return text, nil
	}
	return "", errors.New("its last message has no text")
}
