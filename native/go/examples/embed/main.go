// Command embed embeds the lines of stdin: one line of numbers per line of text, written so that reading
// them back gives the same float32.
//
//	embed BUNDLE < texts.txt
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s BUNDLE < texts.txt\n", os.Args[0])
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(bundle string) error {
	embedder, err := cachelora.Open(bundle)
	if err != nil {
		return err
	}
	defer embedder.Close()

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		vector, err := embedder.Embed(context.Background(), lines.Text())
		if err != nil {
			return err
		}
		var row []byte
		for i, x := range vector {
			if i > 0 {
				row = append(row, ' ')
			}
			row = strconv.AppendFloat(row, float64(x), 'g', -1, 32)
		}
		if _, err := out.Write(append(row, '\n')); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}
