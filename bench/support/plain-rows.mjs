// The yardstick of bench/delivery.mjs: a SELECT of every column of the table `events`, each in its type,
// from record lines, by the plainest SQL there is. What would need judging is null or as it came.
const DATA = `STRUCT("pointerId" INTEGER, "pointerType" VARCHAR, button INTEGER, "clientX" DOUBLE, "clientY" DOUBLE,
  "pageX" DOUBLE, "pageY" DOUBLE, "scrollX" DOUBLE, "scrollY" DOUBLE, "viewportW" INTEGER, "viewportH" INTEGER,
  "pageW" INTEGER, "pageH" INTEGER, referrer VARCHAR, timezone VARCHAR, "groupId" VARCHAR)`
const SHARED =
  '"visitorId" VARCHAR, "userId" VARCHAR, "sessionId" VARCHAR, "pageId" VARCHAR, browser VARCHAR, path VARCHAR'
const PLAIN = {
  objects: {
    member: `e STRUCT("eventType" VARCHAR, "timestamp" TIMESTAMPTZ, target VARCHAR, data ${DATA}, "eventId" VARCHAR, seq INTEGER, ${SHARED})[]`,
    unnested: 'unnest(e) AS e, unnest(range(len(e))) AS event_index',
    columns: {
      ...{ event_id: 'e."eventId"', event_type: 'e."eventType"', event_time: 'e."timestamp"' },
      ...{ client_time: 'e."timestamp"', seq: 'e.seq', target: 'e.target', path: 'e.path' },
      ...{ visitor_id: 'e."visitorId"', user_id: 'e."userId"', page_id: 'e."pageId"' },
      ...{ client_session_id: 'e."sessionId"', browser: 'e.browser' },
      ...Object.fromEntries(
        DATA.match(/\w+(?="? (?:INTEGER|VARCHAR|DOUBLE))/g).map((key) => [
          key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
          `e.data."${key}"`,
        ]),
      ),
    },
  },
  packed: {
    member: `p STRUCT(t0 BIGINT, types VARCHAR[], targets VARCHAR[], t INTEGER[], "type" INTEGER[], target INTEGER[], seq INTEGER,
      x DOUBLE[], y DOUBLE[], "all" STRUCT("offsetX" DOUBLE, "offsetY" DOUBLE, "pointerId" INTEGER, "pointerType" VARCHAR))`,
    unnested: `p.t0 AS t0, p.types AS types, p.targets AS targets, p.seq AS seq, p."all" AS al, unnest(p.t) AS t,
      unnest(p."type") AS type, unnest(p.target) AS target, unnest(p.x) AS x, unnest(p.y) AS y,
      unnest(range(len(p.t))) AS event_index`,
    columns: {
      ...{ event_type: 'types[type + 1]', event_time: 'make_timestamptz((t0 + t) * 1000)' },
      ...{ client_time: 'make_timestamptz((t0 + t) * 1000)', seq: 'seq + event_index' },
      ...{ target: 'targets[target + 1]', path: 'd.path', visitor_id: 'd."visitorId"' },
      ...{ user_id: 'd."userId"', page_id: 'd."pageId"', client_session_id: 'd."sessionId"' },
      ...{ browser: 'd.browser', client_x: 'x', client_y: 'y', page_x: 'x + al."offsetX"' },
      ...{ page_y: 'y + al."offsetY"', pointer_id: 'al."pointerId"' },
      pointer_type: 'al."pointerType"',
    },
  },
}

/** Every column of the table in its type, by the plainest SQL; what would need thought is null. */
export function plainRows(form, lines, { columns }) {
  const { member, unnested, columns: own } = PLAIN[form]
  const [name] = member.split(' ', 1)
  const types = {
    ...{ string: 'VARCHAR', int: 'INTEGER', long: 'BIGINT' },
    ...{ double: 'DOUBLE', boolean: 'BOOLEAN', timestamptz: 'TIMESTAMPTZ' },
  }
  const expressions = {
    ...{ batch_id: 'b', event_index: 'event_index', received_at: 'make_timestamptz(r * 1000)' },
    ...{
      clock_suspect: 'false',
      source: "'web'",
      host: 'c.origin',
      os: 'c.os',
      device: 'c.device',
    },
    ...{ country: 'c.country', bot: 'c.bot', log_offset: 'o' },
    ...own,
  }
  const selected = columns.map(
    (column) =>
      `CAST(${expressions[column.name] ?? 'NULL'} AS ${types[column.type]}) AS "${column.name}"`,
  )
  return `SELECT ${selected.join(', ')} FROM (SELECT o, b, r, c, d, ${unnested}
    FROM read_json('${lines}', format = 'newline_delimited', auto_detect = false, maximum_object_size = 16777216,
      columns = {o: 'BIGINT', r: 'BIGINT', b: 'VARCHAR', d: 'STRUCT(${SHARED})',
        c: 'STRUCT(browser VARCHAR, os VARCHAR, device VARCHAR, country VARCHAR, origin VARCHAR, bot BOOLEAN)',
        ${name}: '${member.slice(name.length + 1)}'}))`
}
