/*
 * codec.c - datums <-> wire.
 *
 * Binary where both sides are sure to agree: built-in types, arrays of them,
 * ranges over them, domains over them, and enums (whose binary form is the
 * label).  Whatever holds the OID of a user's type, or of an object, in its
 * binary form goes as text, written under pinned settings.
 *
 * The send and receive functions of strings convert to and from the encoding
 * of this server's own client; nodes are spoken to in the database encoding.
 * So the client's encoding is set aside while a row is converted.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xml.h"

#include "base/base.h"
#include "net/net_internal.h"

/* How a value becomes bytes; those after the first two need no function of the
 * type, and so no look at the catalogs. */
typedef enum WireForm
{
	WIRE_TEXT,
	WIRE_BINARY, /* by send and receive */
	WIRE_STRING,
	WIRE_BOOL,
	WIRE_INT2,
	WIRE_INT4,
	WIRE_INT8, /* float8 and the timestamps too */
	WIRE_UUID
} WireForm;

typedef struct WireColumn
{
	WireForm form;
	FmgrInfo function;
	Oid io_param;
	int32 typmod;
} WireColumn;

struct TessEncoder
{
	int count;
	WireColumn *columns;
	Oid *types;
	int *formats;
	bool must_pin;
};

struct TessDecoder
{
	int count;
	WireColumn *columns;
	bool binary;
	bool must_pin;
};

/* types ------------------------------------------------------------------ */

/* OIDs below this are the same in every server of a major version. */
static bool
is_builtin(Oid type)
{
	return type < FirstGenbkiObjectId;
}

/* Built-in types whose binary form another server may not understand. */
static bool
needs_text(Oid type)
{
	switch (type)
	{
			/* read as this session's xmloption says, which text pins */
		case XMLOID:
			/* empty ones are sent, but not received */
		case TSQUERYOID:
		case INT2VECTOROID:
		case OIDVECTOROID:
			return true;
		default:
			return false;
	}
}

/* The form of a (base) type that travels in binary. */
static WireForm
binary_form(Oid type)
{
	switch (type)
	{
		case TEXTOID:
			return WIRE_STRING;
		case BOOLOID:
			return WIRE_BOOL;
		case INT2OID:
			return WIRE_INT2;
		case INT4OID:
		case FLOAT4OID:
		case DATEOID:
			return WIRE_INT4;
		case INT8OID:
		case FLOAT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TIMEOID:
			return WIRE_INT8;
		case UUIDOID:
			return WIRE_UUID;
		default:
			return WIRE_BINARY;
	}
}

/* True for types of which all is known without a look at the catalogs. */
static bool
is_plain(Oid type)
{
	return binary_form(type) != WIRE_BINARY;
}

/* Can values travel in binary between servers whose users' OIDs differ? */
static bool
travels_binary(Oid type)
{
	HeapTuple tuple;
	Form_pg_type form;
	char kind;
	Oid element;
	bool has_functions;

	if (is_plain(type))
		return true;
	type = getBaseType(type);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	kind = form->typtype;
	element = IsTrueArrayType(form) ? form->typelem : InvalidOid;
	has_functions = OidIsValid(form->typsend) && OidIsValid(form->typreceive);
	ReleaseSysCache(tuple);

	if (!has_functions)
		return false;
	switch (kind)
	{
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_RANGE:
			return travels_binary(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return travels_binary(get_multirange_range(type));
		case TYPTYPE_BASE:
			if (!is_builtin(type) && !OidIsValid(element))
				return false;
			if (needs_text(type))
				return false;
			/* An array's binary form has the OID of its elements' type. */
			return !OidIsValid(element) ||
				   (is_builtin(element) && travels_binary(element));
		default:
			return false;
	}
}

Oid
tess_type_wire_oid(Oid type)
{
	if (is_plain(type))
		return type;
	if (!is_builtin(type) || type == UNKNOWNOID ||
		get_typtype(type) == TYPTYPE_PSEUDO)
		return InvalidOid;
	return type;
}

bool
tess_types_travel_binary(int count, const Oid *types)
{
	for (int i = 0; i < count; i++)
	{
		if (!travels_binary(types[i]))
			return false;
	}
	return true;
}

const char *
tess_type_text_cast(Oid type)
{
	if (!tess_type_is_number(type))
		return "";
	return tess_type_written(type) == OIDOID ? "::pg_catalog.oid"
											 : "::pg_catalog.oid[]";
}

/*
 * False for types whose text form is the same under all settings.  (Others
 * may be too; it costs them time only.)
 */
static bool
depends_on_settings(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case OIDOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
		case UUIDOID:
		case JSONOID:
		case JSONBOID:
		case UNKNOWNOID:
			return false;
		default:
			return get_typtype(type) != TYPTYPE_ENUM;
	}
}

/* encoding of the client ---------------------------------------------------- */

/* -1, or the client's encoding, which is to be given to leave_encoding(). */
static int
enter_encoding(void)
{
	int encoding = pg_get_client_encoding();

	if (encoding == GetDatabaseEncoding())
		return -1;
	(void) SetClientEncoding(GetDatabaseEncoding());
	return encoding;
}

/* Never fails: the conversions of an encoding once used are kept. */
static void
leave_encoding(int encoding)
{
	if (encoding >= 0)
		(void) SetClientEncoding(encoding);
}

/* encoder ------------------------------------------------------------------- */

/* Lives in the current context.  Takes no locks. */
TessEncoder *
tess_encoder_make(int count, const Oid *types)
{
	TessEncoder *encoder = palloc0(sizeof(TessEncoder));

	encoder->count = count;
	encoder->columns = palloc0(sizeof(WireColumn) * Max(count, 1));
	encoder->types = palloc0(sizeof(Oid) * Max(count, 1));
	encoder->formats = palloc0(sizeof(int) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		WireColumn *column = &encoder->columns[i];
		Oid type = types[i];
		Oid function;
		bool is_varlena;

		encoder->types[i] = tess_type_wire_oid(type);
		if (is_plain(type))
		{
			column->form = binary_form(type);
			encoder->formats[i] = 1;
			continue;
		}
		type = getBaseType(type);
		if (travels_binary(type))
		{
			column->form = binary_form(type);
			encoder->formats[i] = 1;
			getTypeBinaryOutputInfo(type, &function, &is_varlena);
		}
		else
		{
			column->form = WIRE_TEXT;
			if (depends_on_settings(type))
				encoder->must_pin = true;
			getTypeOutputInfo(type, &function, &is_varlena);
		}
		fmgr_info(function, &column->function);
	}
	return encoder;
}

static const char *
encode_bytes(const void *bytes, int length, int *wire_length)
{
	char *copy = palloc(length);

	memcpy(copy, bytes, length);
	*wire_length = length;
	return copy;
}

static const char *
encode_value(WireColumn *column, Datum value, int *length)
{
	uint8 octet;
	uint16 word;
	uint32 dword;
	uint64 qword;
	bytea *bytes;
	char *text;

	switch (column->form)
	{
		case WIRE_BOOL:
			octet = DatumGetBool(value) ? 1 : 0;
			return encode_bytes(&octet, sizeof(octet), length);
		case WIRE_INT2:
			word = pg_hton16(DatumGetUInt16(value));
			return encode_bytes(&word, sizeof(word), length);
		case WIRE_INT4:
			dword = pg_hton32(DatumGetUInt32(value));
			return encode_bytes(&dword, sizeof(dword), length);
		case WIRE_INT8:
			qword = pg_hton64((uint64) DatumGetInt64(value));
			return encode_bytes(&qword, sizeof(qword), length);
		case WIRE_UUID:
			return encode_bytes(DatumGetUUIDP(value), UUID_LEN, length);
		case WIRE_STRING:
			bytes = DatumGetByteaPP(value);
			return encode_bytes(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
								length);
		case WIRE_BINARY:
			bytes = SendFunctionCall(&column->function, value);
			*length = VARSIZE(bytes) - VARHDRSZ;
			return VARDATA(bytes);
		case WIRE_TEXT:
			break;
	}
	text = OutputFunctionCall(&column->function, value);
	*length = strlen(text);
	return text;
}

static void
encode_row(TessEncoder *encoder, const Datum *values, const bool *nulls,
		   TessParams *params)
{
	const char **wire_values = palloc(sizeof(char *) * Max(encoder->count, 1));
	int *lengths = palloc0(sizeof(int) * Max(encoder->count, 1));
	int nest_level = 0;

	if (encoder->must_pin)
		nest_level = tess_settings_pin();
	for (int i = 0; i < encoder->count; i++)
		wire_values[i] = nulls[i] ? NULL
								  : encode_value(&encoder->columns[i],
												 values[i], &lengths[i]);
	if (encoder->must_pin)
		AtEOXact_GUC(true, nest_level);

	params->count = encoder->count;
	params->types = encoder->types;
	params->formats = encoder->formats;
	params->values = wire_values;
	params->lengths = lengths;
}

void
tess_encoder_encode(TessEncoder *encoder, const Datum *values,
					const bool *nulls, TessParams *params)
{
	int encoding = enter_encoding();

	PG_TRY();
	{
		encode_row(encoder, values, nulls, params);
	}
	PG_FINALLY();
	{
		leave_encoding(encoding);
	}
	PG_END_TRY();
}

/* decoder ------------------------------------------------------------------- */

/*
 * Lives in the current context.  Constraints of domains are not checked
 * again: the values come out of columns that have been.
 */
TessDecoder *
tess_decoder_make(int count, const Oid *types, const int32 *typmods, bool binary)
{
	TessDecoder *decoder = palloc0(sizeof(TessDecoder));

	decoder->count = count;
	decoder->binary = binary;
	decoder->columns = palloc0(sizeof(WireColumn) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		WireColumn *column = &decoder->columns[i];
		Oid type = types[i];
		Oid function;

		column->typmod = typmods ? typmods[i] : -1;
		if (binary && is_plain(type))
		{
			column->form = binary_form(type);
			continue;
		}
		type = getBaseTypeAndTypmod(type, &column->typmod);
		if (binary)
		{
			column->form = binary_form(type);
			getTypeBinaryInputInfo(type, &function, &column->io_param);
		}
		else
		{
			column->form = WIRE_TEXT;
			if (depends_on_settings(type))
				decoder->must_pin = true;
			getTypeInputInfo(type, &function, &column->io_param);
		}
		fmgr_info(function, &column->function);
	}
	return decoder;
}

static void
check_length(int length, int expected)
{
	if (length != expected)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("value of a node has %d bytes instead of %d",
							   length, expected)));
}

static Datum
decode_by_function(WireColumn *column, char *bytes, int length)
{
	StringInfoData buffer;

	if (column->form == WIRE_TEXT)
		return InputFunctionCall(&column->function, bytes, column->io_param,
								 column->typmod);

	/* Not copied: libpq has a zero byte behind each value, as is needed. */
	buffer.data = bytes;
	buffer.len = length;
	buffer.maxlen = length + 1;
	buffer.cursor = 0;
	return ReceiveFunctionCall(&column->function, &buffer, column->io_param,
							   column->typmod);
}

static Datum
decode_value(WireColumn *column, char *bytes, int length)
{
	uint16 word;
	uint32 dword;
	uint64 qword;
	pg_uuid_t *uuid;

	switch (column->form)
	{
		case WIRE_BOOL:
			check_length(length, 1);
			return BoolGetDatum(bytes[0] != 0);
		case WIRE_INT2:
			check_length(length, sizeof(word));
			memcpy(&word, bytes, sizeof(word));
			return Int16GetDatum((int16) pg_ntoh16(word));
		case WIRE_INT4:
			check_length(length, sizeof(dword));
			memcpy(&dword, bytes, sizeof(dword));
			return Int32GetDatum((int32) pg_ntoh32(dword));
		case WIRE_INT8:
			check_length(length, sizeof(qword));
			memcpy(&qword, bytes, sizeof(qword));
			return Int64GetDatum((int64) pg_ntoh64(qword));
		case WIRE_UUID:
			check_length(length, UUID_LEN);
			uuid = palloc(sizeof(pg_uuid_t));
			memcpy(uuid->data, bytes, UUID_LEN);
			return UUIDPGetDatum(uuid);
		case WIRE_STRING:
			return PointerGetDatum(
				cstring_to_text_with_len(pg_any_to_server(bytes, length,
														  GetDatabaseEncoding()),
										 length));
		case WIRE_BINARY:
		case WIRE_TEXT:
			break;
	}
	return decode_by_function(column, bytes, length);
}

/* True if text in the node sessions' style would be misread here and now. */
static bool
settings_differ(void)
{
	return DateStyle != USE_ISO_DATES || IntervalStyle != INTSTYLE_POSTGRES ||
		   xmloption != XMLOPTION_CONTENT || Array_nulls == false;
}

static void
decode_row(TessDecoder *decoder, const PGresult *result, int row, Datum *values,
		   bool *nulls)
{
	bool pin = decoder->must_pin && settings_differ();
	int nest_level = 0;

	if (pin)
		nest_level = tess_settings_pin();
	for (int i = 0; i < decoder->count; i++)
	{
		nulls[i] = PQgetisnull(result, row, i);
		values[i] = nulls[i] ? (Datum) 0
							 : decode_value(&decoder->columns[i],
											PQgetvalue(result, row, i),
											PQgetlength(result, row, i));
	}
	if (pin)
		AtEOXact_GUC(true, nest_level);
}

void
tess_decoder_decode(TessDecoder *decoder, const PGresult *result, int row,
					Datum *values, bool *nulls)
{
	int encoding;

	if (PQnfields(result) != decoder->count)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("node returned %d columns instead of %d",
						PQnfields(result), decoder->count),
				 errhint("The table on the node may have been changed there.")));

	encoding = enter_encoding();
	if (encoding < 0)
	{
		decode_row(decoder, result, row, values, nulls);
		return;
	}
	PG_TRY();
	{
		decode_row(decoder, result, row, values, nulls);
	}
	PG_FINALLY();
	{
		leave_encoding(encoding);
	}
	PG_END_TRY();
}
