/**
 * The made-up shop and its visitors: pages, the things on them, devices, campaigns, and the findings
 * that are planted for reports to discover.
 *
 * Planted, so that a reader can check a report against the truth:
 * - on mobile the checkout's main button is dead: visitors tap it in anger (three and more taps within a
 *   second on one target), and most give up;
 * - on tablets most visitors leave between checkout and thanks;
 * - the campaign `river-week` converts twice as well as the rest;
 * - 4 % of the visits are bots;
 * - 37 events are malformed.
 */
import type { Seeded } from './seeded.ts'

export const BOT_SHARE = 0.04
export const BAD_EVENT_COUNT = 37
export const STRONG_CAMPAIGN = 'river-week'
export const ORIGIN = 'https://shop.example'

export type PageName = 'home' | 'catalog' | 'product' | 'cart' | 'checkout' | 'thanks'
export type Device = 'desktop' | 'mobile' | 'tablet'

/** Something that is clicked: where it is on a page 1280 wide (CSS pixels), and its target reference. */
export interface Thing {
  readonly target: string
  readonly x: number
  readonly y: number
}

export interface ShopPage {
  readonly path: string
  /** Height of the page at 1280, 820 and 390 pixels of width. */
  readonly heights: Readonly<Record<Device, number>>
  readonly things: readonly Thing[]
  /** What leads on. */
  readonly way: Thing
}

const thing = (name: string, x: number, y: number): Thing => ({
  target: `[data-track="${name}"]`,
  x,
  y,
})

export const PAGES: Readonly<Record<PageName, ShopPage>> = {
  home: {
    path: '/shop/',
    heights: { desktop: 1840, tablet: 2100, mobile: 2900 },
    things: [
      thing('nav-catalog', 1010, 40),
      thing('hero-cta', 260, 430),
      thing('feature-kayak', 300, 860),
      thing('feature-paddle', 640, 860),
      thing('feature-drybag', 980, 860),
      thing('newsletter', 640, 1540),
    ],
    way: thing('hero-cta', 260, 430),
  },
  catalog: {
    path: '/shop/catalog',
    heights: { desktop: 1680, tablet: 2240, mobile: 3600 },
    things: [
      thing('filter-boats', 160, 260),
      thing('filter-wear', 160, 310),
      thing('sort', 1080, 190),
      thing('item-drybag', 480, 520),
      thing('item-paddle', 800, 520),
      thing('item-vest', 1080, 980),
    ],
    way: thing('item-kayak', 480, 980),
  },
  product: {
    path: '/shop/product',
    heights: { desktop: 1420, tablet: 1760, mobile: 2400 },
    things: [
      thing('gallery', 380, 420),
      thing('gallery-next', 600, 420),
      thing('size-m', 850, 430),
      thing('size-l', 920, 430),
      thing('reviews', 420, 1080),
    ],
    way: thing('add-to-cart', 900, 560),
  },
  cart: {
    path: '/shop/cart',
    heights: { desktop: 960, tablet: 1080, mobile: 1300 },
    things: [thing('quantity', 640, 320), thing('remove', 960, 320), thing('continue', 200, 640)],
    way: thing('to-checkout', 1020, 640),
  },
  checkout: {
    path: '/shop/checkout',
    heights: { desktop: 1240, tablet: 1420, mobile: 1900 },
    things: [
      thing('field-name', 480, 300),
      thing('field-street', 480, 390),
      thing('field-card', 480, 560),
      thing('delivery', 480, 680),
    ],
    way: thing('place-order', 960, 720),
  },
  thanks: {
    path: '/shop/thanks',
    heights: { desktop: 900, tablet: 960, mobile: 1100 },
    things: [thing('share', 520, 420)],
    way: thing('back-home', 640, 520),
  },
}

export const FUNNEL: readonly PageName[] = [
  'home',
  'catalog',
  'product',
  'cart',
  'checkout',
  'thanks',
]

/** How likely a visitor goes on from a page of the funnel to the next. */
export function goOnProbability(
  page: PageName,
  device: Device,
  campaign: string | undefined,
): number {
  const base: Record<PageName, number> = {
    home: 0.78,
    catalog: 0.8,
    product: 0.62,
    cart: 0.7,
    checkout: 0.74,
    thanks: 0,
  }
  let probability = base[page]
  if (page === 'checkout' && device === 'tablet') probability = 0.22
  if (page === 'checkout' && device === 'mobile') probability = 0.38
  // Spread over three steps, so that no single one gives the campaign away: together a factor of two.
  if (
    campaign === STRONG_CAMPAIGN &&
    (page === 'catalog' || page === 'product' || page === 'cart')
  ) {
    probability = Math.min(0.97, probability * 1.26)
  }
  return probability
}

export interface Visitor {
  readonly device: Device
  readonly bot: boolean
  readonly agent: string
  readonly viewport: { readonly w: number; readonly h: number }
  readonly timezone: string
  readonly referrer: string
  readonly campaign:
    | { readonly source: string; readonly medium: string; readonly name: string }
    | undefined
}

const AGENTS: Readonly<Record<Device, readonly (readonly [string, number])[]>> = {
  desktop: [
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
      6,
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
      3,
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 1],
  ],
  mobile: [
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
      5,
    ],
    [
      'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
      5,
    ],
  ],
  tablet: [
    [
      'Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1',
      7,
    ],
    [
      'Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
      3,
    ],
  ],
}
const BOT_AGENTS = [
  ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', 1],
  [
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36',
    2,
  ],
] as const
const VIEWPORTS: Readonly<
  Record<Device, readonly (readonly [{ w: number; h: number }, number])[]>
> = {
  desktop: [
    [{ w: 1280, h: 800 }, 4],
    [{ w: 1440, h: 900 }, 3],
    [{ w: 1920, h: 1080 }, 3],
  ],
  mobile: [
    [{ w: 390, h: 760 }, 6],
    [{ w: 412, h: 840 }, 4],
  ],
  tablet: [[{ w: 820, h: 1180 }, 1]],
}

export function newVisitor(random: Seeded): Visitor {
  const bot = random.chance(BOT_SHARE)
  const device = bot
    ? 'desktop'
    : random.pick<Device>([
        ['desktop', 55],
        ['mobile', 34],
        ['tablet', 11],
      ])
  const campaign = random.pick([
    [undefined, 62],
    [STRONG_CAMPAIGN, 14],
    ['autumn-sale', 14],
    ['newsletter', 10],
  ] as const)
  return {
    device,
    bot,
    agent: bot ? random.pick(BOT_AGENTS) : random.pick(AGENTS[device]),
    viewport: random.pick(VIEWPORTS[device]),
    timezone: random.pick([
      ['Europe/Rome', 5],
      ['Europe/Berlin', 3],
      ['America/New_York', 2],
    ] as const),
    referrer:
      campaign === undefined
        ? random.pick([
            ['', 5],
            ['https://www.google.com', 4],
            ['https://paddling.example', 1],
          ] as const)
        : '',
    campaign:
      campaign === undefined
        ? undefined
        : {
            source: campaign === 'newsletter' ? 'newsletter' : 'search',
            medium: campaign === 'newsletter' ? 'email' : 'cpc',
            name: campaign,
          },
  }
}
