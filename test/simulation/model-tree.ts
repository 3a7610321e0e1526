/**
 * What lies on the model disk: folders and files, each with what the page cache shows and what would be
 * there after a power loss. Every change since the last sync is kept, in order; which of them a power
 * loss takes is decided in model-files.ts. Errors are those of POSIX, with a `code`.
 */
type FileChange =
  | { readonly position: number; readonly bytes: Buffer }
  | { readonly truncateTo: number }

export interface FileNode {
  readonly kind: 'file'
  /** What the page cache shows. */
  content: Buffer
  durable: Buffer
  /** Since the last sync; `durable` with all of them is not `content` after a sync that failed. */
  changes: FileChange[]
}

export interface NameChange {
  readonly name: string
  readonly node: Node | undefined
  /** The source of a rename goes only where the target has come. */
  readonly after?: NameChange
  durable: boolean
}

export interface FolderNode {
  readonly kind: 'folder'
  names: Map<string, Node>
  durable: Map<string, Node>
  changes: NameChange[]
}

export type Node = FileNode | FolderNode

export function newFolder(): FolderNode {
  return { kind: 'folder', names: new Map(), durable: new Map(), changes: [] }
}

export function errnoError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

export function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '')
}

export function nodeAt(root: FolderNode, path: string): Node {
  let node: Node = root
  for (const part of partsOf(path)) {
    if (node.kind === 'file') throw errnoError('ENOTDIR', path)
    const next: Node | undefined = node.names.get(part)
    if (next === undefined) throw errnoError('ENOENT', path)
    node = next
  }
  return node
}

export function folderAt(root: FolderNode, path: string): FolderNode {
  const node = nodeAt(root, path)
  if (node.kind === 'file') throw errnoError('ENOTDIR', path)
  return node
}

function placeOf(root: FolderNode, path: string): { folder: FolderNode; name: string } {
  const parts = partsOf(path)
  const name = parts.pop()!
  return { folder: folderAt(root, parts.join('/')), name }
}

export function exists(root: FolderNode, path: string): boolean {
  try {
    return nodeAt(root, path) !== undefined
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return false
    throw error
  }
}

export function openNode(root: FolderNode, path: string, mode: 'read' | 'write' | 'create'): Node {
  if (mode !== 'create') {
    const node = nodeAt(root, path)
    if (mode === 'write' && node.kind === 'folder') throw errnoError('EISDIR', path)
    return node
  }
  const { folder, name } = placeOf(root, path)
  if (folder.names.has(name)) throw errnoError('EEXIST', path)
  const empty = Buffer.alloc(0)
  const node: FileNode = { kind: 'file', content: empty, durable: empty, changes: [] }
  change(folder, { name, node, durable: false })
  return node
}

/** How many folders of a path are there, from the top. */
export function foldersFound(root: FolderNode, path: string): number {
  const parts = partsOf(path)
  let folder = root
  for (const [at, name] of parts.entries()) {
    const next = folder.names.get(name)
    if (next === undefined) return at
    if (next.kind === 'file') {
      throw errnoError(at === parts.length - 1 ? 'EEXIST' : 'ENOTDIR', path)
    }
    folder = next
  }
  return parts.length
}

/** Or finds it there: another process was faster. */
export function makeOneFolder(root: FolderNode, path: string): void {
  const { folder, name } = placeOf(root, path)
  const found = folder.names.get(name)
  if (found?.kind === 'file') throw errnoError('EEXIST', path)
  if (found === undefined) change(folder, { name, node: newFolder(), durable: false })
}

export function renameNode(root: FolderNode, from: string, to: string): void {
  const source = placeOf(root, from)
  const target = placeOf(root, to)
  const node = source.folder.names.get(source.name)
  const replaced = target.folder.names.get(target.name)
  if (node === undefined) throw errnoError('ENOENT', from)
  if (node.kind === 'folder') throw new Error('the model moves no folders')
  if (replaced?.kind === 'folder') throw errnoError('EISDIR', to)
  // POSIX: two names of one file stay as they are.
  if (replaced === node) return
  const added: NameChange = { name: target.name, node, durable: false }
  change(target.folder, added)
  change(source.folder, { name: source.name, node: undefined, after: added, durable: false })
}

export function linkNode(root: FolderNode, from: string, to: string): void {
  const node = nodeAt(root, from)
  const { folder, name } = placeOf(root, to)
  if (folder.names.has(name)) throw errnoError('EEXIST', to)
  if (node.kind === 'folder') throw errnoError('EPERM', from)
  change(folder, { name, node, durable: false })
}

export function removeNode(root: FolderNode, path: string): void {
  const { folder, name } = placeOf(root, path)
  const node = folder.names.get(name)
  if (node === undefined) throw errnoError('ENOENT', path)
  if (node.kind === 'folder') throw errnoError('EISDIR', path)
  change(folder, { name, node: undefined, durable: false })
}

/** The bytes [start, end) of `image`, as many as there are and fit. */
export function paste(target: Buffer, image: Buffer, start: number, end: number): void {
  if (start < target.length) target.set(image.subarray(start, Math.min(end, target.length)), start)
}

export function setName(names: Map<string, Node>, { name, node }: NameChange): void {
  if (node === undefined) names.delete(name)
  else names.set(name, node)
}

function change(folder: FolderNode, made: NameChange): void {
  setName(folder.names, made)
  folder.changes.push(made)
}

/** All but the sources of renames whose targets, in other folders, are not durable. */
export function syncNames(folder: FolderNode): void {
  const waiting: NameChange[] = []
  for (const made of folder.changes) {
    if (made.after !== undefined && !made.after.durable) {
      waiting.push(made)
      continue
    }
    setName(folder.durable, made)
    made.durable = true
    const superseded = waiting.findIndex(({ name }) => name === made.name)
    if (superseded >= 0) waiting.splice(superseded, 1)
  }
  folder.changes = waiting
}

export function byName(changes: readonly NameChange[]): Map<string, NameChange[]> {
  const names = new Map<string, NameChange[]>()
  for (const each of changes) names.set(each.name, [...(names.get(each.name) ?? []), each])
  return names
}

function withChange(image: Buffer, made: FileChange): Buffer {
  const changed =
    'truncateTo' in made
      ? Buffer.alloc(made.truncateTo)
      : Buffer.alloc(Math.max(image.length, made.position + made.bytes.length))
  image.copy(changed)
  if ('bytes' in made) made.bytes.copy(changed, made.position)
  return changed
}

export function changeData(file: FileNode, made: FileChange): void {
  file.content = withChange(file.content, made)
  file.changes.push(made)
}

/** The file as the disk would have it after none, one, two … all of its changes. */
export function imagesOf(file: FileNode): Buffer[] {
  const images = [file.durable]
  for (const made of file.changes) images.push(withChange(images.at(-1)!, made))
  return images
}

export function syncData(file: FileNode): void {
  file.durable = imagesOf(file).at(-1)!
  file.changes = []
}

/** Every folder that is there or may come back, each once. */
export function foldersBelow(folder: FolderNode): FolderNode[] {
  return nodesBelow(folder).filter((node) => node.kind === 'folder')
}

export function filesBelow(folder: FolderNode): FileNode[] {
  return nodesBelow(folder).filter((node) => node.kind === 'file')
}

function nodesBelow(root: FolderNode): Node[] {
  const found = new Set<Node>([root])
  for (const node of found) {
    if (node.kind === 'file') continue
    for (const below of node.names.values()) found.add(below)
    for (const below of node.durable.values()) found.add(below)
    for (const { node: below } of node.changes) if (below !== undefined) found.add(below)
  }
  return [...found]
}
