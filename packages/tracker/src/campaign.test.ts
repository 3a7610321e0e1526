import { describe, expect, test } from 'vitest'
import { pathOf, referrerOf } from './campaign.ts'

const path = (text: string) => pathOf(new URL(text))

describe('the path', () => {
  test('keeps campaign parameters and drops every other one, and the fragment', () => {
    expect(path('https://shop.test/a/b?q=secret&utm_source=mail&token=1&gclid=X#me@x.org')).toBe(
      'https://shop.test/a/b?utm_source=mail&gclid=X',
    )
  })
  test('without a campaign has no question mark', () => {
    expect(path('https://shop.test/a?email=a@b.c')).toBe('https://shop.test/a')
    expect(path('https://shop.test/?')).toBe('https://shop.test/')
  })
  test('takes no name that only begins or ends like an allowed one', () => {
    expect(path('https://s.test/?gclid2=1&xutm_source=2&utm_=3&UTM_SOURCE=4')).toBe(
      'https://s.test/',
    )
  })
  test('keeps encoded text encoded and drops user and password', () => {
    expect(path('https://me:pw@s.test/?utm_term=a%26email%3Db')).toBe(
      'https://s.test/?utm_term=a%26email%3Db',
    )
  })
  test('is never longer than the wire takes', () => {
    expect(path(`https://s.test/?utm_source=${'x'.repeat(5000)}`)).toHaveLength(2048)
  })
})

describe('the referrer', () => {
  test('is a path on the own site and only an origin elsewhere', () => {
    expect(referrerOf('https://s.test/a?q=1', 'https://s.test')).toBe('https://s.test/a')
    expect(referrerOf('https://find.test/s?q=illness', 'https://s.test')).toBe('https://find.test')
    expect(referrerOf('', 'https://s.test')).toBeUndefined()
  })
})
