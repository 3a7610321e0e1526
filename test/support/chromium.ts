/**
 * The browser of the browser tests: a Chromium of this machine, driven by playwright-core, which brings
 * none of its own. Where there is none, the tests that need it are skipped, with one sentence that says so.
 */
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** The first that exists; `CHROMIUM` names one elsewhere. */
const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]
/** Runs as root in a container without a screen, and asks nobody on the network. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const executablePath = PLACES.find((place) => place !== undefined && existsSync(place))

export const hasChromium = executablePath !== undefined

if (!hasChromium) {
  console.log(
    'browser tests are skipped: no Chromium in /usr/bin; install it (apt-get install chromium) or name one in CHROMIUM',
  )
}

export function launchChromium(): Promise<Browser> {
  if (executablePath === undefined) throw new Error('no Chromium to launch')
  return chromium.launch({ executablePath, args: ARGUMENTS })
}
