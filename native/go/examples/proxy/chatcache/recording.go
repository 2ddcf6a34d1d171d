package chatcache

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// recording passes an answer on as it comes, and keeps a copy until it is too long.
type recording struct {
	io.ReadCloser
	limit int
	kept  bytes.Buffer
	long  bool
	ended bool
	// done is called when everything was passed on, unless it was too long.
	done func(body []byte)
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.kept.Len()+n > r.limit {
		r.long = true
	} else if !r.long {
		r.kept.Write(p[:n])
	}
	r.ended = r.ended || errors.Is(err, io.EOF)
	return n, err
}

func (r *recording) Close() error {
	if r.ended && !r.long && r.done != nil {
		r.done(r.kept.Bytes())
		r.done = nil
	}
	return r.ReadCloser.Close()
}

// whole reports whether body is a complete answer without an error in it.
func whole(contentType string, body []byte) bool {
	if !strings.HasPrefix(contentType, "text/event-stream") {
		return isAnswer(body)
	}
	ended := false
	for line := range strings.Lines(string(body)) {
		data, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:")
		if !ok {
			continue
		}
		if data = strings.TrimSpace(data); data == "[DONE]" {
			ended = true
			continue
		}
		var chunk map[string]json.RawMessage
		if json.Unmarshal([]byte(data), &chunk) != nil || chunk["error"] != nil {
			return false
		}
	}
	return ended
}

func isAnswer(body []byte) bool {
	var answer struct {
		Choices []json.RawMessage `json:"choices"`
		Error   any               `json:"error"`
	}
	return json.Unmarshal(body, &answer) == nil && len(answer.Choices) > 0 && answer.Error == nil
}
