package main

import (
	"io"
	"log/slog"

	"shardway/config"
)

// newLog returns a log whose level follows level.
func newLog(w io.Writer, format string, level *slog.LevelVar) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func levelOf(c *config.Config) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.Log.Level)) // config allows only the words that slog knows
	return l
}
