import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.*;
import java.util.*;

/** The matrix for MariaDB Connector/J, with prepares on the server. */
public class Matrix {
    interface Cell { void run(String cell) throws Exception; }

    static final Map<String, String> env = System.getenv();

    static Connection connect(String... more) throws SQLException {
        return DriverManager.getConnection("jdbc:mariadb://" + env.get("MATRIX_HOST") + ":" + env.get("MATRIX_PORT") + "/" + env.get("MATRIX_DB")
            + "?useServerPrepStmts=true&allowPublicKeyRetrieval=true&" + String.join("&", more), env.get("MATRIX_USER"), env.get("MATRIX_PASSWORD"));
    }

    static void say(String cell, Object... what) {
        StringBuilder b = new StringBuilder();
        for (Object w : what) b.append(b.length() > 0 ? " " : "").append(show(w));
        System.out.println(cell + "\t" + b.toString().replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"));
    }

    static String show(Object v) {
        if (v instanceof byte[] bytes) return "hex:" + HexFormat.of().formatHex(bytes);
        if (v instanceof Blob blob) {
            try {
                return "blob:" + HexFormat.of().formatHex(blob.getBytes(1, (int) blob.length()));
            } catch (SQLException e) {
                return e.toString();
            }
        }
        return String.valueOf(v);
    }

    static void rows(String cell, ResultSet r) throws SQLException {
        ResultSetMetaData m = r.getMetaData();
        for (int i = 1; i <= m.getColumnCount(); i++) {
            say(cell, m.getColumnLabel(i), m.getColumnTypeName(i), m.getColumnClassName(i), m.getPrecision(i), m.getScale(i), m.isNullable(i), m.isSigned(i), m.isAutoIncrement(i), m.getTableName(i));
        }
        while (r.next()) {
            for (int i = 1; i <= m.getColumnCount(); i++) {
                Object v;
                try {
                    v = r.getObject(i);
                } catch (SQLException e) {
                    v = r.getString(i); // beyond what Java's types of time hold
                }
                say(cell, m.getColumnLabel(i), v == null ? "null" : v.getClass().getSimpleName(), v, r.getString(i));
            }
        }
        r.close();
    }

    static void ask(String cell, Connection c, String sql, Object... args) throws SQLException {
        try (PreparedStatement st = c.prepareStatement(sql)) {
            for (int i = 0; i < args.length; i++) st.setObject(i + 1, args[i]);
            rows(cell, st.executeQuery());
        }
    }

    static void ask1(String cell, Connection c, String sql) throws SQLException {
        try (Statement st = c.createStatement()) {
            rows(cell, st.executeQuery(sql));
        }
    }

    static int exec(Connection c, String sql, Object... args) throws SQLException {
        try (PreparedStatement st = c.prepareStatement(sql)) {
            for (int i = 0; i < args.length; i++) st.setObject(i + 1, args[i]);
            return st.executeUpdate();
        }
    }

    static void connectCell(String cell) throws SQLException {
        try (Connection c = connect()) {
            say(cell, c.isValid(5), c.getCatalog().equals(env.get("MATRIX_DB")), c.getAutoCommit(), c.getTransactionIsolation());
            c.setCatalog(env.get("MATRIX_DB"));
            ask1(cell, c, "SELECT 1, DATABASE()");
            DatabaseMetaData m = c.getMetaData();
            try (ResultSet r = m.getColumns(env.get("MATRIX_DB"), null, "people", null)) {
                while (r.next()) say(cell, r.getString("COLUMN_NAME"), r.getString("TYPE_NAME"), r.getInt("COLUMN_SIZE"), r.getString("IS_NULLABLE"), r.getString("IS_AUTOINCREMENT"));
            }
        }
    }

    static void tls(String cell) throws SQLException {
        try (Connection c = connect("useSsl=true", "serverSslCert=" + env.get("MATRIX_CA"))) {
            ask1(cell, c, "SELECT 'over TLS'");
        }
        try (Connection c = connect("useSsl=true", "serverSslCert=" + env.get("MATRIX_OTHER_CA"))) {
            say(cell, "a certificate of another authority was taken");
        } catch (SQLException e) {
            say(cell, "another authority", e.getSQLState());
        }
    }

    static void text(String cell) throws SQLException {
        try (Connection c = connect()) {
            for (int id : new int[] {1, 11, 12}) ask1(cell, c, "SELECT * FROM kinds WHERE id = " + id);
        }
    }

    static void binary(String cell) throws SQLException {
        try (Connection c = connect()) {
            for (int id : new int[] {1, 11, 12}) {
                ask(cell, c, "SELECT * FROM kinds WHERE id = ?", id);
                List<Object> row = new ArrayList<>();
                try (PreparedStatement st = c.prepareStatement("SELECT * FROM kinds WHERE id = ?")) {
                    st.setInt(1, id);
                    try (ResultSet r = st.executeQuery()) {
                        r.next();
                        for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) {
                            String type = r.getMetaData().getColumnTypeName(i);
                            row.add(type.contains("TIME") || type.contains("DATE") || type.contains("YEAR") ? r.getString(i) : r.getObject(i));
                        }
                    }
                }
                row.set(0, id + 100);
                // Bits come as bytes, which MySQL doesn't take for a number.
                row.set(16, null);
                row.set(17, null);
                if (row.get(26) != null) row.set(26, row.get(26).toString().substring(0, 4));
                exec(c, "INSERT INTO kinds VALUES (?" + ", ?".repeat(row.size() - 1) + ")", row.toArray());
                ask(cell, c, "SELECT * FROM kinds WHERE id = ?", id + 100);
            }
        }
    }

    static void nulls(String cell) throws SQLException {
        try (Connection c = connect()) {
            ask(cell, c, "SELECT * FROM kinds WHERE id = ?", 2);
            ask1(cell, c, "SELECT * FROM kinds WHERE id = 2");
        }
    }

    static void utf8mb4(String cell) throws SQLException {
        String text = "\ud83d\ude00 \ud840\udc00 \u65e5\u672c caf\u00e9";
        try (Connection c = connect()) {
            exec(c, "INSERT INTO people (user_id, name) VALUES (31, ?)", text);
            ask(cell, c, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u65e5\u672c` FROM people WHERE user_id = 31 AND name = ?", text);
        }
    }

    static void fractions(String cell) throws SQLException {
        try (Connection c = connect()) {
            int i = 0;
            for (String at : new String[] {"2026-02-28 23:59:59", "2026-02-28 23:59:59.000001", "2026-02-28 23:59:59.999999"}) {
                exec(c, "INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)", String.valueOf(i), Timestamp.valueOf(at), new java.math.BigDecimal("1.00" + i));
                i++;
            }
            ask(cell, c, "SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 AND born >= ? ORDER BY name", Timestamp.valueOf("2026-02-28 00:00:00"));
        }
    }

    static void blob(String cell) throws Exception {
        byte[] content = new byte[17 << 20];
        for (int i = 0; i < content.length; i++) content[i] = (byte) i;
        try (Connection c = connect()) {
            exec(c, "INSERT INTO files VALUES (1, ?)", content);
            try (PreparedStatement st = c.prepareStatement("INSERT INTO files VALUES (2, ?)")) {
                st.setBlob(1, new java.io.ByteArrayInputStream(content));
                st.executeUpdate();
            }
            for (int id = 1; id <= 2; id++) {
                ask(cell, c, "SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = ?", id);
                try (PreparedStatement st = c.prepareStatement("SELECT content FROM files WHERE id = ?")) {
                    st.setInt(1, id);
                    ResultSet r = st.executeQuery();
                    r.next();
                    byte[] got = r.getBytes(1);
                    say(cell, got.length, MessageDigest.getInstance("SHA-256").digest(got), Arrays.equals(got, content));
                }
            }
        }
    }

    static void transactions(String cell) throws SQLException {
        String names = "SELECT name FROM people WHERE user_id = 34 ORDER BY name";
        try (Connection c = connect()) {
            c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            c.setAutoCommit(false);
            exec(c, "INSERT INTO people (user_id, name) VALUES (34, 'a')");
            Savepoint s = c.setSavepoint("s");
            exec(c, "INSERT INTO people (user_id, name) VALUES (34, 'b')");
            c.rollback(s);
            exec(c, "INSERT INTO people (user_id, name) VALUES (34, 'c')");
            ask(cell, c, names);
            c.commit();
            ask(cell, c, names);
            exec(c, "DELETE FROM people WHERE user_id = 34");
            ask(cell, c, names);
            c.rollback();
            ask(cell, c, names);
            c.rollback();
            c.setAutoCommit(true);
            c.setReadOnly(true);
            ask(cell, c, names);
        }
    }

    static void errors(String cell) throws SQLException {
        try (Connection c = connect()) {
            exec(c, "INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
            for (String sql : new String[] {"INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", "SELEC 1", "SELECT * FROM nosuch", "SELECT nosuch FROM people WHERE user_id = 35",
                "INSERT INTO people (user_id, name) VALUES (35, NULL)", "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", "SELECT NOSUCH(1)"}) {
                try (Statement st = c.createStatement()) {
                    st.execute(sql);
                    say(cell, sql, "went well");
                } catch (SQLException e) {
                    say(cell, e.getClass().getSimpleName(), e.getErrorCode(), e.getSQLState(), e.getMessage().replaceAll("conn=\\d+", "conn"));
                }
                try (PreparedStatement st = c.prepareStatement(sql)) {
                    st.execute();
                    say(cell, sql, "went well");
                } catch (SQLException e) {
                    say(cell, "prepared", e.getClass().getSimpleName(), e.getErrorCode(), e.getSQLState(), e.getMessage().replaceAll("conn=\\d+", "conn"));
                }
            }
        }
        try (Connection c = DriverManager.getConnection("jdbc:mariadb://" + env.get("MATRIX_HOST") + ":" + env.get("MATRIX_PORT") + "/?allowPublicKeyRetrieval=true", env.get("MATRIX_USER"), "wrong")) {
            say(cell, "a wrong password was taken");
        } catch (SQLException e) {
            say(cell, e.getErrorCode(), e.getSQLState());
        }
    }

    static void ids(String cell) throws SQLException {
        try (Connection c = connect()) {
            for (String sql : new String[] {"INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')"}) {
                try (PreparedStatement st = c.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
                    say(cell, "affected", st.executeUpdate());
                    ResultSet r = st.getGeneratedKeys();
                    int n = 0;
                    long first = 0;
                    while (r.next()) {
                        if (n++ == 0) first = r.getLong(1);
                    }
                    say(cell, "keys", n);
                    ask(cell, c, "SELECT name FROM people WHERE user_id = 36 AND id = ?", first);
                    ask(cell, c, "SELECT LAST_INSERT_ID() = ? AS same", first);
                }
            }
            say(cell, "affected", exec(c, "UPDATE people SET score = ? WHERE user_id = 36", 1), exec(c, "UPDATE people SET score = ? WHERE user_id = 36", 1),
                exec(c, "DELETE FROM people WHERE user_id = 36 AND name <> 'a'"));
            try (PreparedStatement st = c.prepareStatement("INSERT INTO people (user_id, name) VALUES (36, ?)")) {
                for (int i = 0; i < 50; i++) {
                    st.setString(1, "batch " + i);
                    st.addBatch();
                }
                say(cell, Arrays.toString(st.executeBatch()));
            }
            ask(cell, c, "SELECT COUNT(*), MAX(name) FROM people WHERE user_id = 36");
        }
    }

    static void results(String cell) throws SQLException {
        try (Connection c = connect()) {
            for (int i = 0; i < 2; i++) {
                try (Statement st = i == 0 ? c.createStatement() : c.prepareCall("{call two_results()}")) {
                    boolean has = st instanceof CallableStatement call ? call.execute() : st.execute("CALL two_results()");
                    while (has || st.getUpdateCount() != -1) {
                        if (has) rows(cell, st.getResultSet());
                        else say(cell, "no rows", st.getUpdateCount());
                        has = st.getMoreResults();
                    }
                }
            }
            ask(cell, c, "SELECT 'and after'");
        }
    }

    static void statements(String cell) throws SQLException {
        try (Connection c = connect("allowMultiQueries=true"); Statement st = c.createStatement()) {
            boolean has = st.execute("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37");
            while (has || st.getUpdateCount() != -1) {
                if (has) rows(cell, st.getResultSet());
                else say(cell, "no rows", st.getUpdateCount());
                has = st.getMoreResults();
            }
        }
    }

    static void streaming(String cell) throws SQLException {
        try (Connection c = connect(); PreparedStatement st = c.prepareStatement("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) AS x FROM n")) {
            st.setFetchSize(10);
            ResultSet r = st.executeQuery();
            long total = 0;
            while (r.next()) total += r.getLong(1) * r.getString(2).length();
            r.close();
            say(cell, total);
            ask(cell, c, "SELECT 'and after'");
        }
    }

    static void load(String cell) throws SQLException {
        try (Connection c = connect("allowLocalInfile=true")) {
            say(cell, exec(c, "LOAD DATA LOCAL INFILE '" + env.get("MATRIX_FILE") + "' INTO TABLE people (user_id, name)"));
            ask(cell, c, "SELECT name FROM people WHERE user_id = 39 ORDER BY name");
        }
    }

    static void compression(String cell) throws SQLException {
        try (Connection c = connect("useCompression=true")) {
            ask(cell, c, "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)");
        }
    }

    public static void main(String[] args) throws Exception {
        System.setOut(new java.io.PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8));
        System.out.println("version\t" + DriverManager.getDriver("jdbc:mariadb://x/").getMajorVersion() + "." + DriverManager.getDriver("jdbc:mariadb://x/").getMinorVersion());
        Map<String, Cell> cells = new LinkedHashMap<>();
        cells.put("connect", Matrix::connectCell);
        cells.put("tls", Matrix::tls);
        cells.put("text", Matrix::text);
        cells.put("binary", Matrix::binary);
        cells.put("nulls", Matrix::nulls);
        cells.put("utf8mb4", Matrix::utf8mb4);
        cells.put("fractions", Matrix::fractions);
        cells.put("blob", Matrix::blob);
        cells.put("transactions", Matrix::transactions);
        cells.put("errors", Matrix::errors);
        cells.put("ids", Matrix::ids);
        cells.put("results", Matrix::results);
        cells.put("statements", Matrix::statements);
        cells.put("streaming", Matrix::streaming);
        cells.put("load", Matrix::load);
        cells.put("compression", Matrix::compression);
        for (Map.Entry<String, Cell> e : cells.entrySet()) {
            try {
                e.getValue().run(e.getKey());
            } catch (SQLException x) {
                say(e.getKey(), "! " + x.getErrorCode() + " " + x.getSQLState() + " " + x.getMessage());
            } catch (Throwable x) {
                say(e.getKey(), "! " + x + " " + Arrays.toString(x.getStackTrace()).substring(0, 600));
            }
        }
    }
}
