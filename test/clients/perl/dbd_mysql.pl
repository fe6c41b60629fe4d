# The matrix for Perl's DBD::mysql: dbd_mysql.pl native|emulated says who prepares.
use strict;
use warnings;
use utf8;
use DBI;
use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
binmode STDOUT, ':encoding(UTF-8)';
$| = 1;

my $native = $ARGV[0] eq 'native' ? 1 : 0;

sub dial {
    my ($more, $password) = @_;
    my $dsn = "DBI:mysql:host=$ENV{MATRIX_HOST};port=$ENV{MATRIX_PORT};database=$ENV{MATRIX_DB};mysql_server_prepare=$native" . ($more // '');
    return DBI->connect($dsn, $ENV{MATRIX_USER}, $password // $ENV{MATRIX_PASSWORD},
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, mysql_enable_utf8mb4 => ($more // '') =~ /latin1/ ? 0 : 1 });
}

sub show {
    my ($v) = @_;
    return 'undef' unless defined $v;
    return 'hex:' . unpack('H*', $v) if !utf8::is_utf8($v) && $v =~ /[^\x20-\x7e\n\t]/;
    return $v;
}

sub say_ {
    my ($cell, @what) = @_;
    my $text = join ' ', map { show($_) } @what;
    $text =~ s/\\/\\\\/g;
    $text =~ s/\n/\\n/g;
    $text =~ s/\t/\\t/g;
    $text =~ s/ at \S+ line \d+\.//;
    print "$cell\t$text\n";
}

sub rows {
    my ($cell, $db, $sql, @args) = @_;
    my $st = $db->prepare($sql);
    $st->execute(@args);
    result($cell, $st);
}

sub result {
    my ($cell, $st) = @_;
    say_($cell, 'rows', $st->rows);
    my ($names, $types) = ($st->{NAME}, $st->{mysql_type_name});
    my ($precision, $scale) = ($st->{PRECISION}, $st->{SCALE});
    while (my $row = $st->fetchrow_arrayref) {
        say_($cell, $names->[$_], $types->[$_], $precision->[$_], $scale->[$_], $row->[$_]) for 0 .. $#$row;
    }
}

my @broken = ("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", 'SELEC 1', 'SELECT * FROM nosuch', 'SELECT nosuch FROM people WHERE user_id = 35',
    'INSERT INTO people (user_id, name) VALUES (35, NULL)', "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", 'SELECT NOSUCH(1)');

my @cells = (
    connect => sub {
        my ($cell) = @_;
        my $db = dial();
        say_($cell, $db->ping);
        $db->do("USE $ENV{MATRIX_DB}");
        rows($cell, $db, 'SELECT 1, DATABASE(), @@autocommit');
        $db->disconnect;
    },
    tls => sub { say_($_[0], '- built on libmariadb, this client refuses to be told to use TLS') },
    ($native ? 'binary' : 'text') => sub {
        my ($cell) = @_;
        my $db = dial();
        for my $id (1, 11, 12) {
            rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', $id);
            my $st = $db->prepare('SELECT * FROM kinds WHERE id = ?');
            $st->execute($id);
            my @row = $st->fetchrow_array;
            $row[0] = 100 + $id;
            # Bits come as bytes; FLOAT and DOUBLE as text.
            $_ = hex unpack('H*', $_) for @row[15, 16];
            $row[17] = undef;
            $row[40] = undef if $native; # it binds text as bytes, which MySQL takes for no JSON
            $st = $db->prepare('INSERT INTO kinds VALUES (' . join(', ', ('?') x @row) . ')');
            for my $i (0 .. $#row) {
                my $binary = defined $row[$i] && !utf8::is_utf8($row[$i]) && $row[$i] =~ /[^\x20-\x7e\n\t]/;
                $st->bind_param($i + 1, $row[$i], $binary ? DBI::SQL_BLOB : $i == 15 || $i == 16 ? DBI::SQL_BIGINT : DBI::SQL_VARCHAR);
            }
            $st->execute;
            rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', 100 + $id);
        }
    },
    nulls => sub { rows($_[0], dial(), 'SELECT * FROM kinds WHERE id = ?', 2) },
    utf8mb4 => sub {
        my ($cell) = @_;
        my $db = dial();
        my $text = "\x{1F600} \x{20000} \x{65e5}\x{672c} caf\x{e9}";
        $db->do('INSERT INTO people (user_id, name) VALUES (31, ?)', undef, $text);
        rows($cell, $db, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\x{65e5}` FROM people WHERE user_id = 31 AND name = ?", $text);
    },
    latin1 => sub {
        my ($cell) = @_;
        my $db = dial(';mysql_enable_latin1=1');
        $db->do('SET NAMES latin1');
        $db->do('INSERT INTO people (user_id, name) VALUES (32, ?)', undef, "caf\xe9 \xfc");
        rows($cell, $db, "SELECT name, HEX(name) FROM people WHERE user_id = 32");
        rows($cell, $db, 'SELECT l1, c FROM kinds WHERE id = 11');
    },
    fractions => sub {
        my ($cell) = @_;
        my $db = dial();
        my $i = 0;
        for my $at ('2026-02-28 23:59:59', '2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.999999') {
            $db->do('INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)', undef, $i, $at, "1.00$i");
            $i++;
        }
        rows($cell, $db, 'SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 AND born >= ? ORDER BY name', '2026-02-28 23:59:59');
    },
    blob => sub {
        my ($cell) = @_;
        my $db = dial(';mysql_enable_latin1=1');
        my $content = join('', map { chr } 0 .. 255) x 69632;
        my $st = $db->prepare('INSERT INTO files VALUES (1, ?)');
        $st->bind_param(1, $content, DBI::SQL_BLOB);
        $st->execute;
        rows($cell, $db, 'SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = ?', 1);
        my ($got) = $db->selectrow_array('SELECT content FROM files WHERE id = ?', undef, 1);
        say_($cell, length $got, sha256_hex($got), $got eq $content ? 'same' : 'another');
    },
    transactions => sub {
        my ($cell) = @_;
        my $db = dial();
        my $names = sub { rows($cell, $db, 'SELECT name FROM people WHERE user_id = 34 ORDER BY name') };
        $db->begin_work;
        $db->do($_) for "INSERT INTO people (user_id, name) VALUES (34, 'a')", 'SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'b')",
            'ROLLBACK TO SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'c')";
        $names->();
        $db->commit;
        $names->();
        $db->{AutoCommit} = 0;
        $db->do('DELETE FROM people WHERE user_id = 34');
        $names->();
        $db->rollback;
        $names->();
        $db->rollback;
    },
    errors => sub {
        my ($cell) = @_;
        my $db = dial();
        $db->do("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
        for my $sql (@broken) {
            eval { rows($cell, $db, $sql); say_($cell, $sql, 'went well'); 1 } or say_($cell, $DBI::err, $DBI::state, $DBI::errstr);
        }
        rows($cell, $db, "SELECT CAST('x' AS SIGNED)");
        say_($cell, $db->{mysql_warning_count} // 'none');
        eval { dial('', 'wrong'); say_($cell, 'a wrong password was taken'); 1 } or say_($cell, $DBI::err, $DBI::state);
    },
    ids => sub {
        my ($cell) = @_;
        my $db = dial();
        for my $sql ("INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')",
            "INSERT INTO people (user_id, name) VALUES (36, 'a') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1") {
            my $st = $db->prepare($sql);
            say_($cell, 'affected', $st->execute);
            my $id = $st->{mysql_insertid};
            say_($cell, $db->{mysql_insertid} == $id ? 'same id' : 'another id', $db->{mysql_info});
            rows($cell, $db, 'SELECT name FROM people WHERE user_id = 36 AND id = ?', $id);
            rows($cell, $db, 'SELECT LAST_INSERT_ID() = ? AS same', $id);
        }
        say_($cell, 'affected', $db->do($_)) for 'UPDATE people SET score = 1 WHERE user_id = 36', 'UPDATE people SET score = 1 WHERE user_id = 36',
            "DELETE FROM people WHERE user_id = 36 AND name <> 'a'";
    },
    results => sub {
        my ($cell) = @_;
        return say_($cell, '- with server-side prepares this client reads one result alone') if $native;
        my $db = dial();
        my $st = $db->prepare('CALL two_results()');
        $st->execute;
        do { $st->{NUM_OF_FIELDS} ? result($cell, $st) : say_($cell, 'no rows') } while ($st->more_results);
        rows($cell, $db, "SELECT 'and after'");
    },
    statements => sub {
        my ($cell) = @_;
        return say_($cell, '- a prepared statement is one statement') if $native;
        my $st = dial(';mysql_multi_statements=1')->prepare("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37");
        $st->execute;
        do { $st->{NUM_OF_FIELDS} ? result($cell, $st) : say_($cell, 'no rows') } while ($st->more_results);
    },
    streaming => sub {
        my ($cell) = @_;
        return say_($cell, '- with server-side prepares this client reads all rows at once') if $native;
        my $db = dial(';mysql_use_result=1');
        my $st = $db->prepare("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) AS x FROM n");
        $st->execute;
        my $total = 0;
        while (my ($i, $x) = $st->fetchrow_array) { $total += $i * length $x }
        say_($cell, $total);
        say_($cell, $db->selectrow_array("SELECT 'and after'"));
    },
    load => sub {
        my ($cell) = @_;
        my $db = dial(';mysql_local_infile=1');
        say_($cell, $db->do("LOAD DATA LOCAL INFILE '$ENV{MATRIX_FILE}' INTO TABLE people (user_id, name)"));
        rows($cell, $db, 'SELECT name FROM people WHERE user_id = 39 ORDER BY name');
    },
    compression => sub { rows($_[0], dial(';mysql_compression=1'), "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)") },
);

print "version\t$DBD::mysql::VERSION\n" if eval { require DBD::mysql; 1 };
while (my ($cell, $f) = splice @cells, 0, 2) {
    eval { $f->($cell); 1 } or say_($cell, '! ' . ($DBI::err // '') . ' ' . ($DBI::state // '') . ' ' . ($DBI::errstr // '') . " $@");
}
