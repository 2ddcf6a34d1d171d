package cachelora

import "testing"

func TestSimilarity(t *testing.T) {
	if got := Similarity([]float32{0.6, 0.8}, []float32{0.6, 0.8}); got != 1 {
		t.Errorf("%v", got)
	}
	if got := Similarity([]float32{1, 0}, []float32{0, 1}); got != 0 {
		t.Errorf("%v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("vectors of different dimensions were compared")
		}
	}()
	Similarity([]float32{1}, []float32{1, 0})
}
