module github.com/cachelora/cachelora/native/go

go 1.24
