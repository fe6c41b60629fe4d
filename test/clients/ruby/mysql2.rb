# The matrix for Ruby's mysql2.
require 'mysql2'
require 'digest'
require 'bigdecimal'

def connect(more = {})
  Mysql2::Client.new({ host: ENV['MATRIX_HOST'], port: ENV['MATRIX_PORT'].to_i, username: ENV['MATRIX_USER'], password: ENV['MATRIX_PASSWORD'],
                       database: ENV['MATRIX_DB'], encoding: 'utf8mb4', database_timezone: :utc }.merge(more))
end

def say(cell, *what)
  puts "#{cell}\t#{what.map { |w| show(w) }.join(' ').gsub('\\') { '\\\\' }.gsub("\n", '\\n').gsub("\t", '\\t')}"
end

def show(value)
  case value
  when String then value.dup.force_encoding('UTF-8').valid_encoding? && value.encoding != Encoding::BINARY ? value : "hex:#{value.unpack1('H*')}"
  when Time then value.strftime('%F %T.%N %z')
  when BigDecimal then "decimal:#{value.to_s('F')}"
  when nil then 'nil'
  else "#{value.class}:#{value}"
  end
end

def say_rows(cell, result)
  say(cell, 'rows', result.count, result.fields.join(','))
  result.each { |row| row.each { |k, v| say(cell, k, v.class.name, v) } }
end

BROKEN = ["INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", 'SELEC 1', 'SELECT * FROM nosuch', 'SELECT nosuch FROM people WHERE user_id = 35',
          'INSERT INTO people (user_id, name) VALUES (35, NULL)', "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", 'SELECT NOSUCH(1)'].freeze

CELLS = {
  connect: lambda { |cell|
    c = connect
    say(cell, c.ping)
    c.select_db(ENV['MATRIX_DB'])
    say_rows(cell, c.query('SELECT 1, DATABASE(), @@autocommit'))
    c.close
  },
  tls: lambda { |cell|
    say_rows(cell, connect(sslca: ENV['MATRIX_CA'], ssl_mode: :verify_ca).query("SELECT 'over TLS'"))
  },
  text: lambda { |cell|
    c = connect
    [1, 11, 12].each do |id|
      say_rows(cell, c.query("SELECT * FROM kinds WHERE id = #{id}"))
      say_rows(cell, c.query("SELECT * FROM kinds WHERE id = #{id}", cast: false))
    end
  },
  binary: lambda { |cell|
    c = connect
    # This client can't make a Ruby time of the whole range of TIME.
    names = c.query('SELECT * FROM kinds WHERE id = 0').fields - %w[tm tm3]
    [1, 11, 12].each do |id|
      say_rows(cell, c.prepare("SELECT #{names.join(', ')} FROM kinds WHERE id = ?").execute(id))
      row = c.query("SELECT #{names.join(', ')} FROM kinds WHERE id = #{id}", cast: false, as: :array).first
      row[0] = 100 + id
      (15..17).each { |i| row[i] = row[i].unpack1('H*').to_i(16) }
      c.prepare("INSERT INTO kinds (#{names.join(', ')}) VALUES (#{row.map { '?' }.join(', ')})").execute(*row)
      say_rows(cell, c.prepare("SELECT #{names.join(', ')} FROM kinds WHERE id = ?").execute(100 + id))
    end
  },
  nulls: lambda { |cell|
    say_rows(cell, connect.query('SELECT * FROM kinds WHERE id = 2'))
    say_rows(cell, connect.prepare('SELECT * FROM kinds WHERE id = ?').execute(2))
  },
  utf8mb4: lambda { |cell|
    c = connect
    text = "\u{1F600} \u{20000} \u65e5\u672c caf\u00e9"
    c.query("INSERT INTO people (user_id, name) VALUES (31, '#{c.escape(text)}')")
    say_rows(cell, c.prepare("SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u65e5\u672c` FROM people WHERE user_id = 31 AND name = ?").execute(text))
  },
  latin1: lambda { |cell|
    c = connect(encoding: 'latin1')
    c.query("INSERT INTO people (user_id, name) VALUES (32, 'caf\u00e9 \u00fc')".encode('ISO-8859-1'))
    result = c.query('SELECT name, HEX(name) AS h FROM people WHERE user_id = 32')
    result.each { |row| say(cell, row['name'].encode('UTF-8'), row['name'].bytes.inspect, row['h']) }
  },
  fractions: lambda { |cell|
    c = connect
    ['2026-02-28 23:59:59', '2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.999999'].each_with_index do |at, i|
      c.prepare('INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)').execute(i.to_s, at, BigDecimal("1.00#{i}"))
    end
    sql = 'SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 ORDER BY name'
    say_rows(cell, c.query(sql))
    say_rows(cell, c.prepare(sql).execute)
  },
  blob: lambda { |cell|
    c = connect
    content = (0..255).to_a.pack('C*') * 69_632
    c.prepare('INSERT INTO files VALUES (1, ?)').execute(content)
    c.query("INSERT INTO files VALUES (2, _binary '#{c.escape(content)}')".b)
    [1, 2].each do |id|
      say_rows(cell, c.query("SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = #{id}"))
      got = c.prepare('SELECT content FROM files WHERE id = ?').execute(id).first['content']
      say(cell, got.bytesize, Digest::SHA256.hexdigest(got), got.b == content)
    end
  },
  transactions: lambda { |cell|
    c = connect
    names = -> { say_rows(cell, c.query('SELECT name FROM people WHERE user_id = 34 ORDER BY name')) }
    ['BEGIN', "INSERT INTO people (user_id, name) VALUES (34, 'a')", 'SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'b')",
     'ROLLBACK TO SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'c')"].each { |sql| c.query(sql) }
    names.call
    c.query('COMMIT')
    names.call
    c.query('BEGIN')
    c.query('DELETE FROM people WHERE user_id = 34')
    names.call
    c.query('ROLLBACK')
    names.call
  },
  errors: lambda { |cell|
    c = connect
    c.query("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')")
    BROKEN.each do |sql|
      [-> { c.query(sql) }, -> { c.prepare(sql).execute }].each do |f|
        f.call
        say(cell, sql, 'went well')
      rescue Mysql2::Error => e
        say(cell, e.class.name, e.errno, e.sql_state, e.message)
      end
    end
    c.query("SELECT CAST('x' AS SIGNED)")
    say(cell, c.warning_count)
    begin
      connect(password: 'wrong')
      say(cell, 'a wrong password was taken')
    rescue Mysql2::Error => e
      say(cell, e.errno, e.sql_state)
    end
  },
  ids: lambda { |cell|
    c = connect
    ["INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')",
     "INSERT INTO people (user_id, name) VALUES (36, 'a') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1"].each do |sql|
      c.query(sql)
      id = c.last_id
      say(cell, 'affected', c.affected_rows, c.query_info.inspect)
      say_rows(cell, c.prepare('SELECT name FROM people WHERE user_id = 36 AND id = ?').execute(id))
      say_rows(cell, c.query("SELECT LAST_INSERT_ID() = #{id} AS same"))
    end
    st = c.prepare('UPDATE people SET score = ? WHERE user_id = 36')
    [1, 2].each do |v|
      st.execute(v)
      say(cell, 'affected', st.affected_rows)
    end
    c.query("DELETE FROM people WHERE user_id = 36 AND name <> 'a'")
    say(cell, 'affected', c.affected_rows)
  },
  results: lambda { |cell|
    c = connect(flags: Mysql2::Client::MULTI_STATEMENTS)
    say_rows(cell, c.query('CALL two_results()'))
    while c.next_result
      r = c.store_result
      r ? say_rows(cell, r) : say(cell, 'no rows')
    end
    say_rows(cell, c.query("SELECT 'and after'"))
  },
  statements: lambda { |cell|
    c = connect(flags: Mysql2::Client::MULTI_STATEMENTS)
    say_rows(cell, c.query("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37"))
    while c.next_result
      r = c.store_result
      r ? say_rows(cell, r) : say(cell, 'no rows', c.affected_rows)
    end
  },
  streaming: lambda { |cell|
    c = connect
    total = 0
    sql = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) AS x FROM n"
    c.query(sql, stream: true, cache_rows: false).each { |row| total += row['i'] * row['x'].size }
    say(cell, total)
    say_rows(cell, c.query("SELECT 'and after'"))
  },
  load: lambda { |cell|
    c = connect(local_infile: true)
    c.query("LOAD DATA LOCAL INFILE '#{ENV['MATRIX_FILE']}' INTO TABLE people (user_id, name)")
    say(cell, c.affected_rows)
    say_rows(cell, c.query('SELECT name FROM people WHERE user_id = 39 ORDER BY name'))
  },
  compression: lambda { |cell|
    say_rows(cell, connect(flags: Mysql2::Client::COMPRESS).query("SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)"))
  }
}.freeze

puts "version\t#{Mysql2::VERSION}"
CELLS.each do |cell, f|
  f.call(cell.to_s)
rescue Mysql2::Error => e
  say(cell.to_s, "! #{e.errno} #{e.sql_state} #{e.message}")
rescue StandardError => e
  say(cell.to_s, "! #{e.class} #{e.message} #{e.backtrace.first}")
end
