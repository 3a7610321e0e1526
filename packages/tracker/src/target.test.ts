import { expect, describe as group, test } from 'vitest'
import { anonymous, describe, type Node } from './target.ts'

interface Fake extends Node {
  readonly text: string
}

/** A chain of elements, outermost first; each is the only child unless `before` names siblings. */
function chain(
  ...steps: { tag: string; attributes?: Record<string, string>; before?: string[] }[]
) {
  let parent: Node | null = null
  for (const { tag, attributes = {}, before = [] } of steps) {
    const getAttribute = (name: string) => attributes[name] ?? null
    let previousElementSibling: Node | null = null
    for (const localName of before) {
      previousElementSibling = {
        localName,
        parentNode: parent,
        previousElementSibling,
        getAttribute,
      }
    }
    const node: Fake = {
      localName: tag,
      parentNode: parent,
      previousElementSibling,
      getAttribute,
      text: 'canary',
    }
    parent = node
  }
  return parent as unknown as Node
}

group('a target', () => {
  test('is the path from the nearest anchor down', () => {
    const element = chain(
      { tag: 'body' },
      { tag: 'main', attributes: { id: 'main' } },
      { tag: 'button', attributes: { 'data-track': 'buy', id: 'b1', class: 'secret' } },
      { tag: 'span', before: ['i', 'span'] },
    )
    expect(describe(element)).toBe('[data-track="buy"]>span:nth-of-type(2)')
  })
  test('without an anchor begins at the body', () => {
    expect(describe(chain({ tag: 'html' }, { tag: 'body' }, { tag: 'p' }))).toBe(
      'body>p:nth-of-type(1)',
    )
  })
  test('has at most eight levels', () => {
    const deep = chain(...Array.from({ length: 20 }, () => ({ tag: 'div' })))
    expect(describe(deep).split('>')).toHaveLength(8)
  })
  test('goes through an open shadow root to its host', () => {
    const host = chain({ tag: 'x-card', attributes: { id: 'card' } })
    const inner: Node = { ...chain({ tag: 'b' }), parentNode: { host } }
    expect(describe(inner)).toBe('#card>b:nth-of-type(1)')
  })
})

group('a name that may be of a person', () => {
  test.each([
    ['order-20418', 'order-*'],
    ['u-deadbeef99', 'u-*'],
    ['ada@example.org', '*'],
    ['3F2504E04F8911D3', '*'],
    ['step-123', 'step-123'],
    ['facade', 'facade'],
    ['a "b" c', 'a_b_c'],
  ])('%s becomes %s', (name, expected) => {
    expect(anonymous(name)).toBe(expected)
  })
})
