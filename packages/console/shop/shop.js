/**
 * The demo shop's behaviour: a cart in localStorage, a gallery, filters, and a checkout with a fault.
 *
 * Also the smallest honest example of the tracker in use: the stub, `init` with the write key, and
 * `track` for two events that no pointer can tell. Inside a frame it tells the page around it how the
 * tracker's account stands, so that the two can be compared: what was made here, what arrived there.
 * No innerHTML and no inline style: the pages run under a strict policy with Trusted Types.
 */
const ITEMS = {
  kayak: [
    'Boats',
    'Sluice 300',
    1190,
    'A short, round-hearted kayak for rivers that cannot decide. Turns on a leaf, forgives a late edge, and carries lunch.',
  ],
  packraft: [
    'Boats',
    'Pocket raft',
    749,
    'Rolls up to the size of a loaf. Walk to the river, blow it up, float home.',
  ],
  paddle: [
    'Boats',
    'Ashlar paddle',
    189,
    'An ash shaft that warms to the hand and blades that leave the water without a word.',
  ],
  vest: [
    'Safety',
    'Riffle vest',
    129,
    'Holds you up, lets you breathe, stays out of the way of your elbows.',
  ],
  helmet: ['Safety', 'Keystone helmet', 94, 'For the one stone that nobody had seen.'],
  throwbag: [
    'Safety',
    'Lifeline 20 m',
    46,
    'Twenty metres of rope that float, in a bag that flies straight.',
  ],
  drybag: [
    'Packs',
    'Stillwater 35 L',
    64,
    'Three folds and a buckle between your sleeping bag and the river.',
  ],
  barrel: ['Packs', 'Portage barrel', 79, 'A seat, a table, a pantry. Bears have tried.'],
  booties: ['Wear', 'Gravel boots', 58, 'Warm toes, and a sole that trusts wet slate.'],
}
const CART_KEY = 'shop.cart'
const STATS_EVERY_MS = 250
const QUANTITY_MAX = 9

const at = (id) => document.getElementById(id)
const euro = (amount) => `€ ${amount.toLocaleString('en-GB')}`

function readCart() {
  try {
    const lines = JSON.parse(localStorage.getItem(CART_KEY) ?? '[]')
    return lines.filter((line) => line.item in ITEMS)
  } catch {
    return []
  }
}

function writeCart(lines) {
  try {
    localStorage.setItem(CART_KEY, JSON.stringify(lines))
  } catch {
    // Storage is blocked: the cart lasts as long as the page.
  }
  showCount(lines)
}

const sumOf = (lines) => lines.reduce((sum, line) => sum + ITEMS[line.item][2] * line.quantity, 0)

function showCount(lines) {
  at('cart-count').textContent = lines.reduce((count, line) => count + line.quantity, 0)
}

function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute('aria-pressed', String(button === chosen))
}

const pages = {
  home() {
    const form = document.querySelector('[data-quiet-form]')
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      form.querySelector('.said').textContent = 'A letter would be on its way. (It is not.)'
    })
  },

  catalog() {
    const grid = at('grid')
    const cards = [...grid.children]
    const filters = document.querySelectorAll('[data-filter]')
    for (const button of filters) {
      button.addEventListener('click', () => {
        press(filters, button)
        const { filter } = button.dataset
        for (const card of cards) card.hidden = filter !== '' && card.dataset.kind !== filter
      })
    }
    at('sort').addEventListener('change', (event) => {
      const sign = { up: 1, down: -1 }[event.target.value] ?? 0
      grid.append(...[...cards].sort((a, b) => sign * (a.dataset.price - b.dataset.price)))
    })
  },

  product() {
    const asked = new URLSearchParams(location.search).get('item')
    const item = asked !== null && Object.hasOwn(ITEMS, asked) ? asked : 'kayak'
    const [kind, name, price, about] = ITEMS[item]
    for (const [id, text] of Object.entries({ kind, name, about, crumb: name })) {
      at(id).textContent = text
    }
    at('price').textContent = euro(price)
    showGallery(item, name)

    const sizes = document.querySelectorAll('[data-size]')
    let size = 'M'
    for (const button of sizes) {
      button.addEventListener('click', () => {
        press(sizes, button)
        size = button.dataset.size
      })
    }
    at('add').addEventListener('click', () => {
      const lines = readCart()
      const same = lines.find((line) => line.item === item && line.size === size)
      if (same) same.quantity = Math.min(QUANTITY_MAX, same.quantity + 1)
      else lines.push({ item, size, quantity: 1 })
      writeCart(lines)
      window.millrace('track', 'cart_add', { item, size, price })
      at('added').textContent = `In the cart, size ${size}.`
    })
  },

  cart() {
    const lines = readCart()
    const empty = lines.length === 0
    at('basket').hidden = empty
    at('empty').hidden = !empty
    at('cart-title').hidden = empty
    at('lines').replaceChildren(...lines.map((line) => cartLine(line, lines)))
    showSum(lines)
  },

  checkout() {
    const lines = readCart()
    at('mini').replaceChildren(
      ...lines.map((line) => {
        const [, name, price] = ITEMS[line.item]
        const row = document.createElement('li')
        const what = document.createElement('span')
        what.textContent = `${line.quantity} × ${name}, ${line.size}`
        const amount = document.createElement('span')
        amount.textContent = euro(price * line.quantity)
        row.append(what, amount)
        return row
      }),
    )
    showSum(lines)
    at('paybar-total').textContent = euro(sumOf(lines))
    // The planted fault: the form hears its own button, and nobody hears the one of the narrow bar.
    at('checkout').addEventListener('submit', (event) => {
      event.preventDefault()
      window.millrace('track', 'order', { value: sumOf(lines), items: lines.length })
      writeCart([])
      location.assign('/shop/thanks')
    })
  },

  thanks() {
    at('order').textContent = `W-${100 + Math.floor(Math.random() * 900)}`
    at('share').addEventListener('click', async () => {
      const done = await navigator.clipboard?.writeText(`${location.origin}/shop/`).then(
        () => true,
        () => false,
      )
      at('shared').textContent = done ? 'Copied.' : `${location.origin}/shop/`
    })
  },
}

function showGallery(item, name) {
  const art = (file) => `/shop/art/${file}.svg`
  const views = item === 'kayak' ? ['kayak', 'kayak-top', 'scene'] : [item, 'scene']
  const thumbs = views.map((view, index) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.dataset.track = `thumb-${index + 1}`
    button.setAttribute('aria-label', `Picture ${index + 1}`)
    const picture = new Image(80, 80)
    picture.src = art(view)
    picture.alt = ''
    button.append(picture)
    button.addEventListener('click', () => show(index))
    return button
  })
  let shown = 0
  function show(index) {
    shown = index % views.length
    const stage = at('stage')
    stage.src = art(views[shown])
    stage.alt = name
    stage.classList.toggle('full', views[shown] === 'scene')
    press(thumbs, thumbs[shown])
  }
  at('thumbs').replaceChildren(...thumbs)
  document.querySelector('.next').addEventListener('click', () => show(shown + 1))
  show(0)
}

function cartLine(line, lines) {
  const [, name, price] = ITEMS[line.item]
  const row = at('line').content.firstElementChild.cloneNode(true)
  row.querySelector('img').src = `/shop/art/${line.item}.svg`
  row.querySelector('.what b').textContent = name
  row.querySelector('.what span').textContent = `Size ${line.size}`
  row.querySelector('output').textContent = line.quantity
  row.querySelector('em').textContent = euro(price * line.quantity)
  const set = (quantity) => {
    line.quantity = Math.min(QUANTITY_MAX, quantity)
    writeCart(lines.filter((each) => each.quantity > 0))
    pages.cart()
  }
  row
    .querySelector('[data-track=quantity-less]')
    .addEventListener('click', () => set(line.quantity - 1))
  row
    .querySelector('[data-track=quantity-more]')
    .addEventListener('click', () => set(line.quantity + 1))
  row.querySelector('.remove').addEventListener('click', () => set(0))
  return row
}

function showSum(lines) {
  const sum = euro(sumOf(lines))
  if (at('goods')) at('goods').textContent = sum
  at('shipping').textContent = 'Free'
  at('total').textContent = sum
}

/** The snippet, the key, and for a frame the account, four times a second. */
async function startTracker() {
  window.millrace ??= (...call) => {
    window.millrace.q = window.millrace.q ?? []
    window.millrace.q.push(call)
  }
  const response = await fetch('/demo/state').catch(() => undefined)
  const state = response?.ok ? await response.json().catch(() => undefined) : undefined
  if (!state?.writeKey) return
  window.millrace('init', { key: state.writeKey, debug: true })
  if (window.parent === window) return
  setInterval(() => {
    const stats = window.millrace('stats')
    if (typeof stats !== 'object') return
    const { visitorId, pageId, path } = stats
    const message = { type: 'millrace-stats', stats, visitorId, pageId, path }
    window.parent.postMessage(message, location.origin)
  }, STATS_EVERY_MS)
}

showCount(readCart())
void startTracker()
pages[document.body.dataset.page]()
