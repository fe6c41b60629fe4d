package protocol

import "fmt"

// Command is the first byte of a packet that asks a server to do something.
type Command byte

// The commands of the protocol. Servers since MySQL 8 and MariaDB 10 answer
// those that are not listed here with error 1047.
const (
	ComSleep            Command = 0x00
	ComQuit             Command = 0x01
	ComInitDB           Command = 0x02
	ComQuery            Command = 0x03
	ComFieldList        Command = 0x04
	ComCreateDB         Command = 0x05
	ComDropDB           Command = 0x06
	ComRefresh          Command = 0x07
	ComShutdown         Command = 0x08
	ComStatistics       Command = 0x09
	ComProcessInfo      Command = 0x0a
	ComConnect          Command = 0x0b
	ComProcessKill      Command = 0x0c
	ComDebug            Command = 0x0d
	ComPing             Command = 0x0e
	ComTime             Command = 0x0f
	ComDelayedInsert    Command = 0x10
	ComChangeUser       Command = 0x11
	ComBinlogDump       Command = 0x12
	ComTableDump        Command = 0x13
	ComConnectOut       Command = 0x14
	ComRegisterSlave    Command = 0x15
	ComStmtPrepare      Command = 0x16
	ComStmtExecute      Command = 0x17
	ComStmtSendLongData Command = 0x18
	ComStmtClose        Command = 0x19
	ComStmtReset        Command = 0x1a
	ComSetOption        Command = 0x1b
	ComStmtFetch        Command = 0x1c
	ComDaemon           Command = 0x1d
	ComBinlogDumpGTID   Command = 0x1e
	ComResetConnection  Command = 0x1f
)

var commandNames = [...]string{
	"SLEEP", "QUIT", "INIT_DB", "QUERY", "FIELD_LIST", "CREATE_DB", "DROP_DB", "REFRESH",
	"SHUTDOWN", "STATISTICS", "PROCESS_INFO", "CONNECT", "PROCESS_KILL", "DEBUG", "PING", "TIME",
	"DELAYED_INSERT", "CHANGE_USER", "BINLOG_DUMP", "TABLE_DUMP", "CONNECT_OUT", "REGISTER_SLAVE",
	"STMT_PREPARE", "STMT_EXECUTE", "STMT_SEND_LONG_DATA", "STMT_CLOSE", "STMT_RESET", "SET_OPTION",
	"STMT_FETCH", "DAEMON", "BINLOG_DUMP_GTID", "RESET_CONNECTION",
}

// String gives the command's name without its COM_ prefix: "QUERY".
func (c Command) String() string {
	if int(c) < len(commandNames) {
		return commandNames[c]
	}
	return fmt.Sprintf("0x%02x", byte(c))
}

// silent says that servers never answer the command.
func (c Command) silent() bool {
	return c == ComStmtSendLongData || c == ComStmtClose || c == ComQuit
}

// Capability is the set of protocol features that both sides agreed on. The
// upper half is MariaDB's own: it travels in bytes that MySQL leaves empty, and
// only between two that don't say CapLongPassword, which MariaDB calls
// CLIENT_MYSQL.
type Capability uint64

// The capabilities, named as in the MySQL manual without their CLIENT_ prefix.
const (
	CapLongPassword Capability = 1 << iota
	CapFoundRows
	CapLongFlag
	CapConnectWithDB
	CapNoSchema
	CapCompress
	CapODBC
	CapLocalFiles
	CapIgnoreSpace
	CapProtocol41
	CapInteractive
	CapSSL
	CapIgnoreSigpipe
	CapTransactions
	CapReserved
	CapSecureConnection
	CapMultiStatements
	CapMultiResults
	CapPSMultiResults
	CapPluginAuth
	CapConnectAttrs
	CapPluginAuthLenenc
	CapExpiredPasswords
	CapSessionTrack
	CapDeprecateEOF
	CapOptionalMetadata
	CapZstd
	CapQueryAttributes
	CapMultiFactor
)

// MariaDB's own capabilities, without their MARIADB_CLIENT_ prefix.
const (
	CapProgress Capability = 1 << (32 + iota)
	CapComMulti
	CapStmtBulk
	CapExtendedMetadata
	CapCacheMetadata
	CapBulkUnitResults
)

// mariaDBOnly are the capabilities in the upper half.
const mariaDBOnly Capability = 0xffffffff << 32

// DefaultCapabilities is what Login offers when its Capabilities are zero:
// all that Forward can translate. CapSSL is added where TLS is configured.
const DefaultCapabilities = CapLongPassword | CapFoundRows | CapLongFlag | CapConnectWithDB | CapODBC |
	CapIgnoreSpace | CapProtocol41 | CapInteractive | CapIgnoreSigpipe | CapTransactions |
	CapSecureConnection | CapMultiStatements | CapMultiResults | CapPSMultiResults | CapPluginAuth |
	CapConnectAttrs | CapPluginAuthLenenc | CapSessionTrack | CapDeprecateEOF

// Has says whether all of the wanted capabilities are in the set.
func (c Capability) Has(want Capability) bool { return c&want == want }

// Status is the state of a server connection as OK and EOF packets tell it.
type Status uint16

// The status flags, named as in the MySQL manual without their
// SERVER_STATUS_ prefix.
const (
	StatusInTrans             Status = 0x0001
	StatusAutocommit          Status = 0x0002
	StatusMoreResults         Status = 0x0008
	StatusNoGoodIndex         Status = 0x0010
	StatusNoIndex             Status = 0x0020
	StatusCursorExists        Status = 0x0040
	StatusLastRowSent         Status = 0x0080
	StatusDBDropped           Status = 0x0100
	StatusNoBackslashEscapes  Status = 0x0200
	StatusMetadataChanged     Status = 0x0400
	StatusQueryWasSlow        Status = 0x0800
	StatusPSOutParams         Status = 0x1000
	StatusInTransReadonly     Status = 0x2000
	StatusSessionStateChanged Status = 0x4000
	StatusANSIQuotes          Status = 0x8000 // MariaDB alone
)

// Has says whether all of the wanted flags are set.
func (s Status) Has(want Status) bool { return s&want == want }

// Column types, as column definitions and bound parameters carry them.
const (
	TypeDecimal    byte = 0x00
	TypeTiny       byte = 0x01
	TypeShort      byte = 0x02
	TypeLong       byte = 0x03
	TypeFloat      byte = 0x04
	TypeDouble     byte = 0x05
	TypeNull       byte = 0x06
	TypeTimestamp  byte = 0x07
	TypeLongLong   byte = 0x08
	TypeInt24      byte = 0x09
	TypeDate       byte = 0x0a
	TypeTime       byte = 0x0b
	TypeDatetime   byte = 0x0c
	TypeYear       byte = 0x0d
	TypeNewDate    byte = 0x0e
	TypeVarchar    byte = 0x0f
	TypeBit        byte = 0x10
	TypeJSON       byte = 0xf5
	TypeNewDecimal byte = 0xf6
	TypeEnum       byte = 0xf7
	TypeSet        byte = 0xf8
	TypeTinyBlob   byte = 0xf9
	TypeMediumBlob byte = 0xfa
	TypeLongBlob   byte = 0xfb
	TypeBlob       byte = 0xfc
	TypeVarString  byte = 0xfd
	TypeString     byte = 0xfe
	TypeGeometry   byte = 0xff
)

const (
	headerOK    = 0x00
	headerMore  = 0x01
	headerLocal = 0xfb
	headerEOF   = 0xfe
	headerERR   = 0xff

	headerSize = 4
	// maxChunk is the most that one packet holds; a payload that is this long
	// or longer is split, and ends with a packet that is shorter.
	maxChunk = 1<<24 - 1
)
