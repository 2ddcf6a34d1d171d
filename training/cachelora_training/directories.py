"""Directories that appear complete or not at all: the runtime's, under the name that this room knows."""

from __future__ import annotations

from cachelora.directories import check_output, check_output_file, complete_directory, write_text_atomically

__all__ = ["check_output", "check_output_file", "complete_directory", "write_text_atomically"]
