import { type Packed, unpackEvents } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { decodeBatch } from '../../collector/decode.ts'
import { packView } from './pack-view.ts'
import { seeded } from './seeded.ts'
import { FUNNEL, goOnProbability, newVisitor, STRONG_CAMPAIGN } from './shop-model.ts'
import { makeVisit, type PageView } from './visit.ts'

const START_MS = 1_763_900_000_000

function visits(seed: number, count: number): PageView[][] {
  const random = seeded(seed)
  return Array.from({ length: count }, () => [...makeVisit(random, newVisitor(random), START_MS)])
}
const SAMPLE = visits(7, 60)
const parsed = (view: PageView) =>
  view.events.map((text) => JSON.parse(text) as { timestamp: number; seq: number })

describe('randomness that repeats', () => {
  test('the same seed gives the same numbers, another seed others', () => {
    const take = (seed: number) => Array.from({ length: 5 }, seeded(seed).next)
    expect(take(7)).toEqual(take(7))
    expect(take(8)).not.toEqual(take(7))
  })

  test('numbers keep to their range and their mean', () => {
    const random = seeded(1)
    const numbers = Array.from({ length: 20_000 }, random.next)
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...numbers)).toBeLessThan(1)
    expect(numbers.reduce((sum, number) => sum + number) / 20_000).toBeCloseTo(0.5, 1)
    const between = new Set(Array.from({ length: 500 }, () => random.between(2, 4)))
    expect([...between].sort()).toEqual([2, 3, 4])
    const normal = Array.from({ length: 20_000 }, random.normal)
    expect(normal.every(Number.isFinite)).toBe(true)
    expect(normal.reduce((sum, number) => sum + number ** 2) / 20_000).toBeCloseTo(1, 1)
  })

  test('a choice comes as often as its weight says', () => {
    const random = seeded(3)
    const picked = Array.from({ length: 10_000 }, () =>
      random.pick([
        ['a', 3],
        ['b', 1],
      ] as const),
    )
    expect(picked.filter((choice) => choice === 'a').length / 10_000).toBeCloseTo(0.75, 1)
  })
})

describe('a visit', () => {
  test('is the same for the same seed, to the byte', () => {
    expect(visits(7, 10)).toEqual(SAMPLE.slice(0, 10))
    expect(visits(8, 10)).not.toEqual(SAMPLE.slice(0, 10))
  })

  test('walks the funnel from its beginning, one page after the other', () => {
    for (const visit of SAMPLE)
      expect(visit.map(({ page }) => page)).toEqual(FUNNEL.slice(0, visit.length))
  })

  test('numbers the events of each page from 0 without a gap', () => {
    for (const view of SAMPLE.flat())
      expect(parsed(view).map(({ seq }) => seq)).toEqual(view.events.map((_, at) => at))
  })

  test('never goes back in time, on a page or from page to page', () => {
    for (const visit of SAMPLE) {
      const times = visit.flatMap((view) => parsed(view).map(({ timestamp }) => timestamp))
      expect(times).toEqual([...times].sort((left, right) => left - right))
      expect(times[0]).toBe(START_MS)
    }
  })

  test('holds nothing that the door refuses', () => {
    for (const view of SAMPLE.flat()) {
      for (let start = 0; start < view.events.length; start += 400) {
        const events = view.events.slice(start, start + 400)
        const text = `{"historical":true,"path":"${view.url}","packed":${packView(events)}}`
        const decoded = decodeBatch(Buffer.from(text))
        expect(decoded).toMatchObject({
          ok: true,
          batch: { eventCount: events.length, rejections: [] },
        })
      }
    }
  })

  test('is packed without a change', () => {
    for (const view of SAMPLE.flat()) {
      const packed = JSON.parse(packView(view.events)) as Packed
      expect(unpackEvents(packed)).toEqual(view.events.map((text) => JSON.parse(text)))
    }
  })

  test('is rich: moves, scrolls, clicks and touches, some 600 events on average', () => {
    const events = SAMPLE.flat(2).flatMap((view) => view.events)
    const types = new Set(events.map((text) => /"eventType":"(\w+)"/.exec(text)?.[1]))
    for (const type of ['page', 'pointermove', 'scroll', 'click', 'touchmove', 'visibility'])
      expect(types).toContain(type)
    expect(events.length / SAMPLE.length).toBeGreaterThan(300)
    expect(events.length / SAMPLE.length).toBeLessThan(1_200)
  })
})

describe('what is planted', () => {
  test('about 4 % of the visitors are bots', () => {
    const random = seeded(11)
    const bots = Array.from({ length: 20_000 }, () => newVisitor(random)).filter(({ bot }) => bot)
    expect(bots.length / 20_000).toBeGreaterThan(0.035)
    expect(bots.length / 20_000).toBeLessThan(0.045)
  })

  const conversion = (device: 'desktop' | 'mobile' | 'tablet', campaign?: string) =>
    FUNNEL.slice(0, -1).reduce((share, page) => share * goOnProbability(page, device, campaign), 1)

  test('the strong campaign converts about twice as well, no other one does', () => {
    const ratio = conversion('desktop', STRONG_CAMPAIGN) / conversion('desktop')
    expect(ratio).toBeGreaterThan(1.8)
    expect(ratio).toBeLessThan(2.2)
    expect(conversion('desktop', 'autumn-sale')).toBe(conversion('desktop'))
  })

  test('tablets and mobiles lose their visitors at the checkout', () => {
    expect(conversion('mobile') / conversion('desktop')).toBeLessThan(0.6)
    expect(conversion('tablet') / conversion('desktop')).toBeLessThan(0.4)
  })
})
