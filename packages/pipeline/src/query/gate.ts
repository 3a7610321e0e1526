/**
 * The first layer of the sandbox: what a statement's parse tree may hold.
 *
 * Works on the tree that the engine's own parser prints (`json_serialize_sql`), never on text: a text
 * filter and a parser disagree sooner or later. Everything is a list of what is allowed; a kind of node
 * this file has not heard of refuses the statement. Relations are the tenant's four or a common table
 * expression in scope, never a path (the engine would open it as a file) and never with a schema.
 * The tree's depth is bounded as well: the planner takes minutes on a few kilobytes of nesting.
 *
 * The layers behind it (settings, a process with limits) hold without it; each is tested alone.
 */
import { FUNCTIONS_ALLOWED, TABLE_FUNCTIONS_ALLOWED } from './sql-functions.ts'

export const RELATIONS = ['events', 'identities', 'rejections', 'people'] as const

/** Levels of the printed tree. A CASE in a sum in a subquery in a join has 30; 900 nested lists 2,700. */
export const TREE_DEPTH_MAX = 300
/** Objects in the printed tree: a list of 10,000 constants has 20,000. */
export const TREE_NODE_COUNT_MAX = 60_000
/** SELECTs in a statement: 5,000 joined by UNION ALL keep the planner busy for 8 s. */
export const SELECT_COUNT_MAX = 500

export interface Refusal {
  /** `invalid_sql`: it does not parse. `sql_refused`: it does, and may not run. */
  readonly code: 'invalid_sql' | 'sql_refused'
  readonly detail: string
  readonly hint?: string
}

const TABLES_HINT = `The tables are ${RELATIONS.join(', ')}.`
const SELECT_HINT = 'One SELECT (or WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES).'
const PIVOT_HINT = 'PIVOT needs its values: PIVOT events ON event_type IN (...) USING count(*).'

const EXPRESSIONS = new Set(
  `BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF
   OPERATOR PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY WINDOW`.split(/\s+/),
)
const QUERY_NODES = new Set(['SELECT_NODE', 'SET_OPERATION_NODE', 'RECURSIVE_CTE_NODE'])
const RELATION_NODES = new Set(
  'BASE_TABLE EMPTY EXPRESSION_LIST JOIN PIVOT SHOW_REF SUBQUERY TABLE_FUNCTION'.split(' '),
)
/** Parts that are neither: sorting, limits, the descriptions of types in casts. */
const PARTS =
  /^(ORDER|LIMIT|LIMIT_PERCENT|DISTINCT)_MODIFIER$|^ORDER_DEFAULT$|^(A|DE)SCENDING$|_TYPE_INFO$/
/** A name that no engine takes for a file or an address. */
const PLAIN_NAME = /^[\p{L}_][\p{L}\p{N}_ $-]*$/u

type Tree = { readonly [member: string]: unknown }
type Scope = ReadonlySet<string>

/**
 * Undefined when the statement may run. `statementCount` is the parser's count of statements in the
 * text, `tree` what `json_serialize_sql` printed for it.
 */
export function gate(statementCount: number, tree: unknown): Refusal | undefined {
  const root = tree as Tree
  if (root.error === true) return parseRefusal(root, statementCount)
  const statements = list(root.statements)
  if (statementCount !== 1 || statements.length !== 1) {
    return refused(`${statementCount} statements`, 'Send one statement; no more than one runs.')
  }
  const walk = { nodeCount: 0, selectCount: 0 }
  return visit(statements[0], new Set(), 0, walk)
}

function parseRefusal(root: Tree, statementCount: number): Refusal {
  if (root.error_type !== 'not implemented') {
    return { code: 'invalid_sql', detail: String(root.error_message) }
  }
  if (String(root.error_message).startsWith('Only SELECT')) {
    if (statementCount > 1) return refused(`${statementCount} statements`, PIVOT_HINT)
    return refused('a statement that is not a SELECT', SELECT_HINT)
  }
  return { code: 'invalid_sql', detail: String(root.error_message) }
}

interface Walk {
  nodeCount: number
  selectCount: number
}

function visit(value: unknown, scope: Scope, depth: number, walk: Walk): Refusal | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > TREE_DEPTH_MAX) {
    return refused('expressions nested too deep', 'Write it flatter, or with WITH.')
  }
  walk.nodeCount++
  if (walk.nodeCount > TREE_NODE_COUNT_MAX) {
    return refused('a statement of too many parts', 'Shorten its lists of values.')
  }
  if (Array.isArray(value)) return first(value, (item) => visit(item, scope, depth + 1, walk))
  const node = value as Tree
  const refusal = judge(node, scope)
  if (refusal !== undefined) return refusal
  if (QUERY_NODES.has(node.type as string)) return visitQuery(node, scope, depth, walk)
  return first(Object.values(node), (child) => visit(child, scope, depth + 1, walk))
}

/** Names of WITH come into scope one after the other; a recursive one also inside itself. */
function visitQuery(node: Tree, scope: Scope, depth: number, walk: Walk): Refusal | undefined {
  walk.selectCount++
  if (walk.selectCount > SELECT_COUNT_MAX) {
    return refused(`more than ${SELECT_COUNT_MAX} SELECTs`, 'Ask in several statements.')
  }
  const { cte_map: ctes, ...body } = node
  let inner = scope
  for (const entry of list((ctes as Tree | undefined)?.map)) {
    const { key, value } = entry as { key: string; value: unknown }
    if (!PLAIN_NAME.test(key)) {
      return refused(`the name "${key}" in WITH`, 'Use letters, digits and _ in names.')
    }
    const refusal = visit(value, inner, depth + 1, walk)
    if (refusal !== undefined) return refusal
    inner = new Set([...inner, key.toLowerCase()])
  }
  if (node.type !== 'RECURSIVE_CTE_NODE') {
    return first(Object.values(body), (child) => visit(child, inner, depth + 1, walk))
  }
  const { right, ...others } = body
  const name = String(node.cte_name)
  if (!PLAIN_NAME.test(name))
    return refused(`the name "${name}" in WITH`, 'Use letters, digits and _.')
  return (
    first(Object.values(others), (child) => visit(child, inner, depth + 1, walk)) ??
    visit(right, new Set([...inner, name.toLowerCase()]), depth + 1, walk)
  )
}

/** One node by itself; its children are visited after it. */
function judge(node: Tree, scope: Scope): Refusal | undefined {
  if (typeof node.class === 'string') return judgeExpression(node)
  if (typeof node.type !== 'string') return undefined
  if (QUERY_NODES.has(node.type) || PARTS.test(node.type)) return undefined
  if (!RELATION_NODES.has(node.type)) return refused(`the construct ${node.type}`, SELECT_HINT)
  if (node.type === 'BASE_TABLE') return judgeTable(node, scope)
  if (node.type === 'SHOW_REF') return judgeShow(node)
  if (node.type === 'TABLE_FUNCTION') return judgeTableFunction(node)
  if (node.type === 'PIVOT' && list(node.pivots).some((pivot) => (pivot as Tree).pivot_enum)) {
    return refused('PIVOT over an enum', PIVOT_HINT)
  }
  return undefined
}

function judgeExpression(node: Tree): Refusal | undefined {
  if (!EXPRESSIONS.has(node.class as string)) {
    return refused(`the expression ${node.class}`, SELECT_HINT)
  }
  if (node.class !== 'FUNCTION' && node.class !== 'WINDOW') return undefined
  // A schema is not looked at: `path.upper()` prints as function upper of schema path, and no schema
  // holds another function under an allowed name.
  const name = String(node.function_name)
  if (FUNCTIONS_ALLOWED.has(name.toLowerCase()) || name.toLowerCase() === 'unnest') return undefined
  return refused(`the function ${name}`, 'See docs/sql.md for the functions one may call.')
}

function judgeTable(node: Tree, scope: Scope): Refusal | undefined {
  const name = String(node.table_name)
  if (node.schema_name || node.catalog_name) {
    const qualified = [node.catalog_name, node.schema_name, name].filter(Boolean).join('.')
    return refused(`the table ${qualified}`, `Tables have no schema. ${TABLES_HINT}`)
  }
  const plain = name.toLowerCase()
  if ((RELATIONS as readonly string[]).includes(plain) || scope.has(plain)) return undefined
  return refused(`the table ${name}`, TABLES_HINT)
}

function judgeShow(node: Tree): Refusal | undefined {
  // DESCRIBE and SUMMARIZE hold a query, which is visited like any other.
  if (node.query !== undefined && node.query !== null) return undefined
  if (node.table_name === '"tables"') return undefined
  return refused('SHOW', 'DESCRIBE events, SUMMARIZE events and SHOW TABLES are answered.')
}

function judgeTableFunction(node: Tree): Refusal | undefined {
  const call = node.function as Tree | undefined
  const name = String(call?.function_name)
  const qualified = call?.schema || call?.catalog
  if (call?.class === 'FUNCTION' && !qualified && TABLE_FUNCTIONS_ALLOWED.has(name.toLowerCase())) {
    return undefined
  }
  const hint = `In FROM: ${[...TABLE_FUNCTIONS_ALLOWED].join(', ')}. ${TABLES_HINT}`
  return refused(`the table function ${name}`, hint)
}

function first<T>(
  items: readonly T[],
  look: (item: T) => Refusal | undefined,
): Refusal | undefined {
  for (const item of items) {
    const refusal = look(item)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function refused(what: string, hint: string): Refusal {
  return { code: 'sql_refused', detail: `not allowed: ${what}`, hint }
}
