-- Fills the tables of the current schema at the scale factor :scale, with the
-- same rows every time.  Keys, domains, dates, prices and what follows from
-- them are made by the rules of the specification (4.2.3); the text is shorter,
-- and random numbers are hashes of the row's key.

-- A number from 0 to n - 1: another one for each key and each column.
CREATE FUNCTION pg_temp.pick(key bigint, col int, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
SELECT (hashint8extended(key, col) & x'7fffffffffffffff'::bigint) % n
$$;

CREATE FUNCTION pg_temp.word(key bigint, col int, words text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT words[1 + pg_temp.pick(key, col, array_length(words, 1))]
$$;

-- Four words.
CREATE FUNCTION pg_temp.comment(key bigint, col int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT pg_temp.word(key, col, '{carefully,quickly,furiously,slyly,blithely,daringly,ruthlessly}')
	|| ' ' || pg_temp.word(key, col + 1, '{special,final,pending,regular,express,bold,even,ironic,silent,unusual}')
	|| ' ' || pg_temp.word(key, col + 2, '{packages,requests,accounts,deposits,foxes,ideas,theodolites,platelets,pinto beans}')
	|| ' ' || pg_temp.word(key, col + 3, '{sleep,nag,haggle,wake,cajole,detect,integrate,boost,are}')
$$;

CREATE FUNCTION pg_temp.phone(key bigint, nation bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
SELECT format('%s-%s-%s-%s', nation + 10, 100 + pg_temp.pick(key, 901, 900),
	100 + pg_temp.pick(key, 902, 900), 1000 + pg_temp.pick(key, 903, 9000))
$$;

-- The price of a part, in cents.
CREATE FUNCTION pg_temp.cents(part bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
SELECT 90000 + part / 10 % 20001 + 100 * (part % 1000)
$$;

-- The supplier of a part, of four (0 to 3), where there are n.
CREATE FUNCTION pg_temp.supplier(part bigint, which bigint, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
SELECT (part + which * (n / 4 + (part - 1) / n)) % n + 1
$$;

SELECT greatest(20, (10000 * :scale)::int) AS suppliers,
	greatest(200, (200000 * :scale)::int) AS parts,
	greatest(150, (150000 * :scale)::int) AS customers,
	greatest(1500, (1500000 * :scale)::int) AS orders \gset

INSERT INTO region
SELECT i - 1, name, pg_temp.comment(i, 10)
FROM unnest('{AFRICA,AMERICA,ASIA,EUROPE,MIDDLE EAST}'::text[]) WITH ORDINALITY r (name, i);

INSERT INTO nation
SELECT i - 1, name, region, pg_temp.comment(i, 20)
FROM unnest('{ALGERIA,ARGENTINA,BRAZIL,CANADA,EGYPT,ETHIOPIA,FRANCE,GERMANY,INDIA,INDONESIA,
		IRAN,IRAQ,JAPAN,JORDAN,KENYA,MOROCCO,MOZAMBIQUE,PERU,CHINA,ROMANIA,SAUDI ARABIA,
		VIETNAM,RUSSIA,UNITED KINGDOM,UNITED STATES}'::text[],
	'{0,1,1,1,4,0,3,3,2,2,4,4,2,4,0,0,0,1,2,3,4,2,3,3,1}'::int[])
	WITH ORDINALITY n (name, region, i);

-- One in twenty has complaints, one in twenty praise.
INSERT INTO supplier
SELECT k, 'Supplier#' || lpad(k::text, 9, '0'), 'street ' || pg_temp.pick(k, 30, 1000000), nation,
	pg_temp.phone(k, nation), (pg_temp.pick(k, 32, 1099999) - 99999) / 100.0,
	pg_temp.comment(k, 33) || CASE pg_temp.pick(k, 39, 20)
		WHEN 0 THEN ' Customer some Complaints' WHEN 1 THEN ' Customer has Recommends' ELSE '' END
FROM generate_series(1::bigint, :suppliers) k, LATERAL (SELECT pg_temp.pick(k, 31, 25)) n (nation);

INSERT INTO part
SELECT k,
	(SELECT string_agg(word, ' ' ORDER BY pg_temp.pick(k * 100 + i, 41, 1 << 30)) FROM (
		SELECT word, i
		FROM unnest('{almond,antique,aquamarine,azure,beige,bisque,black,blanched,blue,blush,brown,
			burlywood,burnished,chartreuse,chiffon,chocolate,coral,cornflower,cornsilk,cream,cyan,
			dark,deep,dim,dodger,drab,firebrick,floral,forest,frosted,gainsboro,ghost,goldenrod,
			green,grey,honeydew,hot,indian,ivory,khaki,lace,lavender,lawn,lemon,light,lime,linen,
			magenta,maroon,medium,metallic,midnight,mint,misty,moccasin,navajo,navy,olive,orange,
			orchid,pale,papaya,peach,peru,pink,plum,powder,puff,purple,red,rose,rosy,royal,saddle,
			salmon,sandy,seashell,sienna,sky,slate,smoke,snow,spring,steel,tan,thistle,tomato,
			turquoise,violet,wheat,white,yellow}'::text[]) WITH ORDINALITY w (word, i)
		ORDER BY pg_temp.pick(k * 100 + i, 40, 1 << 30) LIMIT 5) five),
	'Manufacturer#' || maker, 'Brand#' || maker || 1 + pg_temp.pick(k, 43, 5),
	pg_temp.word(k, 44, '{STANDARD,SMALL,MEDIUM,LARGE,ECONOMY,PROMO}')
		|| ' ' || pg_temp.word(k, 45, '{ANODIZED,BURNISHED,PLATED,POLISHED,BRUSHED}')
		|| ' ' || pg_temp.word(k, 46, '{TIN,NICKEL,BRASS,STEEL,COPPER}'),
	1 + pg_temp.pick(k, 47, 50),
	pg_temp.word(k, 48, '{SM,LG,MED,JUMBO,WRAP}')
		|| ' ' || pg_temp.word(k, 49, '{CASE,BOX,BAG,JAR,PKG,PACK,CAN,DRUM}'),
	pg_temp.cents(k) / 100.0, left(pg_temp.comment(k, 50), 23)
FROM generate_series(1::bigint, :parts) k, LATERAL (SELECT 1 + pg_temp.pick(k, 42, 5)) m (maker);

INSERT INTO partsupp
SELECT k, pg_temp.supplier(k, i, :suppliers), 1 + pg_temp.pick(k * 4 + i, 60, 9999),
	(100 + pg_temp.pick(k * 4 + i, 61, 99901)) / 100.0, pg_temp.comment(k * 4 + i, 62)
FROM generate_series(1::bigint, :parts) k, generate_series(0, 3) i;

INSERT INTO customer
SELECT k, 'Customer#' || lpad(k::text, 9, '0'), 'street ' || pg_temp.pick(k, 70, 1000000), nation,
	pg_temp.phone(k, nation), (pg_temp.pick(k, 72, 1099999) - 99999) / 100.0,
	pg_temp.word(k, 73, '{AUTOMOBILE,BUILDING,FURNITURE,MACHINERY,HOUSEHOLD}'), pg_temp.comment(k, 74)
FROM generate_series(1::bigint, :customers) k, LATERAL (SELECT pg_temp.pick(k, 71, 25)) n (nation);

-- Eight keys of 32 are used, and one customer in three has no orders.  Status
-- and total follow from the lines.
CREATE TEMP TABLE new_order AS
SELECT (k - 1) / 8 * 32 + (k - 1) % 8 + 1 AS orderkey, c / 2 * 3 + c % 2 + 1 AS custkey,
	date '1992-01-01' + pg_temp.pick(k, 81, 2406)::int AS orderdate,
	1 + pg_temp.pick(k, 82, 7) AS lines
FROM generate_series(1::bigint, :orders) k,
	LATERAL (SELECT pg_temp.pick(k, 80, :customers / 3 * 2)) r (c);

INSERT INTO lineitem
SELECT orderkey, part, pg_temp.supplier(part, pg_temp.pick(k, 91, 4), :suppliers), i, quantity,
	quantity * pg_temp.cents(part) / 100.0, pg_temp.pick(k, 93, 11) / 100.0,
	pg_temp.pick(k, 94, 9) / 100.0,
	CASE WHEN shipped + received > '1995-06-17' THEN 'N' WHEN pg_temp.pick(k, 95, 2) = 0 THEN 'R' ELSE 'A' END,
	CASE WHEN shipped > '1995-06-17' THEN 'O' ELSE 'F' END,
	shipped, orderdate + 30 + pg_temp.pick(k, 97, 61)::int, shipped + received,
	pg_temp.word(k, 99, '{DELIVER IN PERSON,COLLECT COD,NONE,TAKE BACK RETURN}'),
	pg_temp.word(k, 100, '{REG AIR,AIR,RAIL,SHIP,TRUCK,MAIL,FOB}'), left(pg_temp.comment(k, 101), 44)
FROM new_order, generate_series(1, lines) i,
	LATERAL (SELECT orderkey * 8 + i) r (k),
	LATERAL (SELECT 1 + pg_temp.pick(k, 90, :parts), 1 + pg_temp.pick(k, 92, 50),
		orderdate + 1 + pg_temp.pick(k, 96, 121)::int, 1 + pg_temp.pick(k, 98, 30)::int)
		c (part, quantity, shipped, received);

INSERT INTO orders
SELECT orderkey, custkey, CASE WHEN status = '{F}' THEN 'F' WHEN status = '{O}' THEN 'O' ELSE 'P' END,
	total, orderdate, pg_temp.word(orderkey, 110, '{1-URGENT,2-HIGH,3-MEDIUM,4-NOT SPECIFIED,5-LOW}'),
	'Clerk#' || lpad((1 + pg_temp.pick(orderkey, 111, greatest(10, :orders / 1500)))::text, 9, '0'), 0,
	pg_temp.comment(orderkey, 112)
FROM new_order JOIN (
	SELECT l_orderkey, array_agg(DISTINCT l_linestatus::text) AS status,
		sum(l_extendedprice * (1 + l_tax) * (1 - l_discount)) AS total
	FROM lineitem GROUP BY 1) l ON l_orderkey = orderkey;

DROP TABLE new_order;
ANALYZE region, nation, supplier, part, partsupp, customer, orders, lineitem;
