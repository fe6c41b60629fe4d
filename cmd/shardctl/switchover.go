package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap/failover"
)

func switchoverCommand() command {
	return command{
		name: "switchover", args: "SHARD", min: 1, max: 1, brief: "makes a replica the primary of its shard, while clients go on",
		details: "New statements for the primary wait, transactions may end within --drain, the replica\ngets all of it and takes over, the others follow it. It checks everything before it\nchanges anything, and refuses (exit status 3) when something is in the way. What fails\nbefore the replica takes writes is undone. Run it again after a crash: it goes on.\n\nIt logs in to the servers as failover.user of the configuration, else as servers.user.",
		example: "shardctl -c shardway.yaml switchover s0 --to 10.0.0.11:3306 --dry-run",
		flags: func(f *pflag.FlagSet) {
			f.String("to", "", "the replica, by its address in the map")
			f.Bool("dry-run", false, "check everything, say what would be done, and change nothing")
			f.Bool("cancel", false, "undo a switchover that was begun and is stuck")
			f.Duration("drain", 5*time.Second, "how long transactions on the old primary may go on; those that don't end are killed")
			f.Duration("max-lag", 5*time.Second, "how far behind the replica may be")
			f.Bool("kill-blockers", false, "kill all clients that keep the old primary from becoming read-only, not Shardway's alone")
			accountFlags(f)
			f.String("replication-user", "", "the user as whom the old primary follows the new one")
			f.String("replication-password-file", "", "a file that holds that user's password; else SHARDWAY_FAILOVER_REPLICATION_PASSWORD")
		},
		run: switchover,
	}
}

func switchover(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	shard := args[0]
	to, _ := flags.GetString("to")
	cancel, _ := flags.GetBool("cancel")
	switch {
	case cancel && to != "":
		return usagef("--cancel undoes what is under way, whatever its target; leave --to out")
	case !cancel && to == "":
		return usagef("say with --to which replica takes over; shardctl map show lists them")
	}
	o, err := t.failoverOptions(flags)
	if err != nil {
		return err
	}
	store, err := t.open()
	if err != nil {
		return err
	}
	o.DryRun, _ = flags.GetBool("dry-run")
	if cancel {
		if o.DryRun {
			return usagef("--cancel has no dry run; `shardctl map show` says what is under way")
		}
		if err := t.confirm(fmt.Sprintf("Undo what is under way on shard %s?", shard)); err != nil {
			return err
		}
		report, err := failover.Cancel(ctx, store, shard, o)
		return t.switched(report, err, fmt.Sprintf("%s is the primary of %s, as before", report.From, shard))
	}
	if !o.DryRun && !t.yes {
		dry := o
		dry.DryRun, dry.Progress = true, nil
		plan, err := failover.Switchover(ctx, store, shard, to, dry)
		if err != nil {
			return t.switched(plan, err, "")
		}
		t.plan(plan)
		if err := t.confirm(fmt.Sprintf("Make %s the primary of %s?", to, shard)); err != nil {
			return err
		}
	}
	report, err := failover.Switchover(ctx, store, shard, to, o)
	if o.DryRun && err == nil {
		if t.output != "json" {
			t.plan(report)
		}
		return t.switched(report, nil, "nothing was changed: it was a dry run")
	}
	return t.switched(report, err, fmt.Sprintf("switchover of %s to %s done: statements waited %d ms", shard, to, report.Pause.Milliseconds()))
}

// plan shows people what would be done.
func (t *tool) plan(report failover.Report) {
	w := t.stdout
	if t.output == "json" {
		w = t.stderr
	}
	for i, line := range report.Plan {
		fmt.Fprintf(w, "%d. %s\n", i+1, line)
	}
}

// switched prints a report, and the line that ends it when all went well, and
// gives err its exit status.
func (t *tool) switched(report failover.Report, err error, done string) error {
	if t.output == "json" {
		out := struct {
			failover.Report
			Error string `json:"error,omitempty"`
		}{Report: report}
		if err != nil {
			out.Error = err.Error()
		}
		if jsonErr := t.json(out); jsonErr != nil {
			return jsonErr
		}
	} else {
		for _, w := range report.Warnings {
			fmt.Fprintf(t.stdout, "warning: %s\n", w)
		}
		if err == nil {
			fmt.Fprintln(t.stdout, done)
		}
	}
	if failover.IsRefused(err) {
		return refusef("refused, and nothing was changed:\n%w", err)
	}
	return err
}

// failoverOptions are what the configuration, the environment and the flags
// say.
func (t *tool) failoverOptions(flags *pflag.FlagSet) (failover.Options, error) {
	c, err := t.settings("servers", "failover")
	if err != nil {
		return failover.Options{}, err
	}
	o := failover.Options{ProxyUser: c.Servers.User, ReplicationUser: c.Failover.ReplicationUser, ReplicationPassword: c.Failover.ReplicationPassword}
	account, err := accountOf(c, flags)
	if err != nil {
		return o, err
	}
	if err := textFlags(flags, []textFlag{
		{"replication-user", &o.ReplicationUser, false},
		{"replication-password-file", &o.ReplicationPassword, true},
	}); err != nil {
		return o, err
	}
	o.Open = account.Open
	o.Drain, _ = flags.GetDuration("drain")
	o.MaxLag, _ = flags.GetDuration("max-lag")
	o.KillBlockers, _ = flags.GetBool("kill-blockers")
	if o.Drain <= 0 || o.MaxLag <= 0 {
		return o, usagef("--drain and --max-lag are longer than 0s")
	}
	if t.output != "json" {
		o.Progress = func(s failover.Step) {
			fmt.Fprintln(t.stdout, strings.TrimRight(fmt.Sprintf("%-9s %7.1f ms  %s", s.Name, float64(s.Took.Microseconds())/1000, s.Text), " "))
		}
	}
	return o, nil
}
