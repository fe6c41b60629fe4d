package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap/rebalance/audit"
)

func verifyCommand() command {
	return command{
		name: "verify", brief: "looks whether every row is on its own shard, copies are alike, and sequences are past the data",
		details: "It reads all rows of the tables in the map, on the primaries, while clients go on, and\nwrites nothing. With --repair it asks and then moves misplaced rows to their shards,\nremoves what is there twice, makes copies of reference tables as on --base, and moves\nsequences past the data. Two versions of one row are left alone: look at both.\nThe exit status is 1 while something is wrong.\n\nIt logs in to the servers as failover.user of the configuration, else as servers.user.",
		example: "shardctl -c shardway.yaml verify",
		flags: func(f *pflag.FlagSet) {
			f.Bool("repair", false, "put right what can be")
			f.String("database", "", "the one database to look at (default: all of the map)")
			f.String("base", "", "the shard whose copies of reference tables are right (default: each database's default shard)")
			f.Int("most", 20, "how many findings of a table on a shard are listed")
			accountFlags(f)
		},
		run: verify,
	}
}

func verify(ctx context.Context, t *tool, flags *pflag.FlagSet, _ []string) error {
	acc, err := t.operator(flags)
	if err != nil {
		return err
	}
	_, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	o := audit.Options{Open: acc.Open}
	o.Database, _ = flags.GetString("database")
	o.Base, _ = flags.GetString("base")
	o.Most, _ = flags.GetInt("most")
	if o.Most < 1 {
		return usagef("--most is at least 1")
	}
	if t.output != "json" {
		o.Progress = func(x audit.Examined) {
			fmt.Fprintf(t.stdout, "%-24s %-8s %12d rows  %d findings\n", x.Database+"."+x.Table, x.Shard, x.Rows, x.Findings)
		}
	}
	report, err := audit.Run(ctx, m, o)
	if err != nil {
		return err
	}
	if repair, _ := flags.GetBool("repair"); repair && report.Count > 0 {
		if t.output != "json" {
			if err := t.findings(report); err != nil {
				return err
			}
		}
		if err := t.confirm(fmt.Sprintf("Put right what can be of these %d findings?", report.Count)); err != nil {
			return err
		}
		o.Repair = true
		if report, err = audit.Run(ctx, m, o); err != nil {
			return err
		}
	}
	if t.output == "json" {
		err = t.json(report)
	} else if err = t.findings(report); err == nil && report.Count == 0 {
		fmt.Fprintf(t.stdout, "nothing is wrong, by version %d of the map, after %s\n", report.Version, report.Took.Round(10*time.Millisecond))
	}
	if left := report.Count - report.Repaired; err == nil && left > 0 {
		err = fmt.Errorf("%d findings, of which %d are repaired", report.Count, report.Repaired)
	}
	return err
}

func (t *tool) findings(report audit.Report) error {
	if report.Count == 0 {
		return nil
	}
	list := make([][]string, 0, len(report.Findings))
	for _, f := range report.Findings {
		done := ""
		if f.Repaired {
			done = "repaired"
		}
		list = append(list, []string{string(f.Kind), f.Database + "." + f.Table, f.Shard, f.Owner, f.Key, done, f.Text})
	}
	if err := t.table([]string{"FINDING", "TABLE", "SHARD", "OWNER", "KEY", "", "WHAT"}, list); err != nil {
		return err
	}
	if more := report.Count - len(report.Findings); more > 0 {
		fmt.Fprintln(t.stdout, strconv.Itoa(more)+" more")
	}
	return nil
}
