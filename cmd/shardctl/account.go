package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"shardway/config"
	"shardway/config/operator"
	"shardway/shardmap/server"
)

// accountFlags say as whom to log in to the servers.
func accountFlags(f *pflag.FlagSet) {
	f.String("user", "", "the user as whom to log in to the servers")
	f.String("password-file", "", "a file that holds that user's password; else SHARDWAY_FAILOVER_PASSWORD")
}

// accountOf is the login that the configuration and the flags name.
func accountOf(c *config.Config, flags *pflag.FlagSet) (server.Account, error) {
	a := operator.Account(c)
	err := textFlags(flags, []textFlag{{"user", &a.User, false}, {"password-file", &a.Password, true}})
	return a, err
}

// textFlag is a flag whose value, or the text of the file that it names, goes
// somewhere.
type textFlag struct {
	name string
	to   *string
	file bool
}

// textFlags reads those of the flags that are given.
func textFlags(flags *pflag.FlagSet, list []textFlag) error {
	for _, f := range list {
		v, _ := flags.GetString(f.name)
		switch {
		case v == "":
		case f.file:
			text, err := os.ReadFile(v)
			if err != nil {
				return fmt.Errorf("--%s: %w", f.name, err)
			}
			*f.to = string(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")))
		default:
			*f.to = v
		}
	}
	return nil
}
