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

/** x and y of a centre in CSS pixels of the page, as measured on the shop's real pages. */
type Place = readonly [x: number, y: number]

/** Something that is clicked: where it stands at 1280, 820 and 390 pixels of width, and its target reference. */
export interface Thing {
  readonly target: string
  readonly places: Readonly<Record<Device, Place>>
  /** Standard deviations around the centre at 1280: hands hit a wide thing anywhere on it. */
  readonly spread: Place
  /** On phones it keeps to the bottom of the window, so much above it, however far the page is scrolled. */
  readonly mobileBottomPx?: number
}

export interface ShopPage {
  readonly path: string
  /** Height of the page at 1280, 820 and 390 pixels of width. */
  readonly heights: Readonly<Record<Device, number>>
  readonly things: readonly Thing[]
  /** What leads on. */
  readonly way: Thing
}

const BUTTON: Place = [16, 6]
const WIDE_BUTTON: Place = [48, 7]
const FIELD: Place = [60, 6]
const TILE: Place = [62, 74]

const thing = (
  name: string,
  desktop: Place,
  tablet: Place,
  mobile: Place,
  spread = BUTTON,
): Thing => ({
  target: `[data-track="${name}"]`,
  places: { desktop, tablet, mobile },
  spread,
})

const NAV_CATALOG = thing('nav-catalog', [978, 36], [568, 36], [266, 31])

/** The measurements of `packages/console/shop/README.md`. */
export const PAGES: Readonly<Record<PageName, ShopPage>> = {
  home: {
    path: '/shop/',
    heights: { desktop: 2262, tablet: 1880, mobile: 2717 },
    things: [
      NAV_CATALOG,
      thing('hero-kayak', [329, 463], [298, 410], [90, 684]),
      thing('features-all', [1176, 775], [747, 645], [60, 939]),
      thing('feature-kayak', [245, 1029], [151, 859], [195, 1063], TILE),
      thing('feature-paddle', [640, 1029], [410, 859], [195, 1222], TILE),
      thing('feature-drybag', [1034, 1029], [668, 859], [195, 1382], TILE),
      thing('newsletter', [1091, 1903], [681, 1586], [119, 2416]),
    ],
    way: thing('hero-cta', [144, 463], [113, 410], [195, 626]),
  },
  catalog: {
    path: '/shop/catalog',
    heights: { desktop: 1854, tablet: 2626, mobile: 2074 },
    things: [
      thing('filter-boats', [230, 270], [198, 238], [186, 246]),
      thing('filter-wear', [317, 270], [286, 238], [273, 246]),
      thing('sort', [1144, 270], [715, 238], [129, 310]),
      thing('item-paddle', [640, 515], [604, 484], [287, 503], TILE),
      thing('item-vest', [1034, 515], [215, 909], [102, 806], TILE),
      thing('item-packraft', [245, 946], [604, 909], [287, 806], TILE),
      thing('item-helmet', [1034, 946], [604, 1335], [287, 1099], TILE),
      thing('item-throwbag', [640, 1378], [604, 1760], [287, 1391], TILE),
    ],
    way: thing('item-kayak', [245, 515], [215, 484], [102, 503], TILE),
  },
  product: {
    path: '/shop/product',
    heights: { desktop: 1571, tablet: 1677, mobile: 2247 },
    things: [
      thing('gallery', [355, 406], [223, 315], [195, 292], TILE),
      thing('gallery-next', [609, 630], [376, 449], [333, 412]),
      thing('thumb-2', [198, 725], [167, 544], [130, 499]),
      thing('size-m', [963, 458], [623, 475], [195, 882]),
      thing('size-l', [1138, 458], [738, 475], [317, 882]),
      thing('details-shipping', [640, 1001], [410, 938], [195, 1404], FIELD),
      thing('reviews', [640, 1198], [410, 1227], [195, 1735], TILE),
    ],
    way: thing('add-to-cart', [963, 543], [623, 560], [195, 967], WIDE_BUTTON),
  },
  cart: {
    path: '/shop/cart',
    heights: { desktop: 823, tablet: 800, mobile: 953 },
    things: [
      thing('quantity-more', [559, 313], [210, 313], [197, 284]),
      thing('remove', [732, 313], [464, 313], [352, 284]),
      thing('continue', [120, 472], [89, 443], [76, 679]),
    ],
    way: thing('to-checkout', [1009, 496], [652, 464], [195, 585], WIDE_BUTTON),
  },
  checkout: {
    path: '/shop/checkout',
    heights: { desktop: 1460, tablet: 1391, mobile: 1781 },
    things: [
      thing('field-name', [407, 406], [257, 374], [195, 370], FIELD),
      thing('field-street', [407, 498], [257, 466], [195, 462], FIELD),
      thing('field-town', [570, 590], [365, 558], [278, 554]),
      thing('field-card', [407, 782], [257, 750], [195, 746], FIELD),
      thing('field-code', [570, 874], [365, 842], [278, 838]),
      thing('delivery-river', [121, 1118], [82, 1086], [69, 1082]),
    ],
    way: {
      ...thing('place-order', [1009, 547], [652, 515], [302, 723], WIDE_BUTTON),
      mobileBottomPx: 37,
    },
  },
  thanks: {
    path: '/shop/thanks',
    heights: { desktop: 820, tablet: 800, mobile: 975 },
    things: [thing('share', [965, 463], [517, 436], [102, 676])],
    way: thing('back-home', [762, 463], [521, 378], [195, 618]),
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
    probability = Math.min(0.97, probability * 1.29)
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
