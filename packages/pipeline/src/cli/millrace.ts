/**
 * The program `millrace`: what can be asked of it, and how an error reaches a person.
 *
 * Each command is a file in `commands/`, imported when it is called, so that `--help` is quick and the
 * long-running programs do not carry each other's libraries.
 */
import { Command, CommanderError, Option } from 'commander'
import { SETTINGS } from '../entrypoints/config.ts'
import { ERRORS, MillraceError } from '../kit/errors.ts'
import { VERSION } from '../kit/version.ts'
import { printable } from './table.ts'

/** The stack of a fault of ours is for those who ask for it. */
const showsStack = process.env.MILLRACE_LOG_LEVEL === 'debug'

const program = new Command('millrace')
  .exitOverride()
  .description('The full pointer stream of your site, in your own lake, from one process.')
  .version(VERSION)
  .showHelpAfterError('(run with --help for what is allowed)')
  .configureHelp({ showGlobalOptions: true })

function serverOptions(command: Command, defaultFolder?: string): Command {
  for (const { name, flag, help, fallback, env } of SETTINGS) {
    const value = name === 'data' ? (defaultFolder ?? fallback) : fallback
    const text = `${help}${value === undefined ? '' : ` (default ${value})`}; also ${env}`
    command.addOption(new Option(flag, text))
  }
  return command.option('--config <file>', 'YAML file with the same settings')
}

function clientOptions(command: Command): Command {
  return command
    .option(
      '--data <dir>',
      'data folder of the running server (default millrace-data, else millrace-demo)',
    )
    .option('--url <url>', 'address of the server; also MILLRACE_URL')
    .option('--client-id <id>', 'also MILLRACE_CLIENT_ID')
    .option('--client-secret <secret>', 'also MILLRACE_CLIENT_SECRET')
}

serverOptions(
  program
    .command('start')
    .description('run the server; the first line on stdout is JSON with its address'),
).action(async (flags) => (await import('./commands/start.ts')).start(flags))

serverOptions(
  program
    .command('demo')
    .description('run the server with a made-up shop, a sample tenant and a demo page'),
  'millrace-demo',
)
  .option('--no-sample', 'do not fill the sample tenant')
  .action(async (flags) => (await import('./commands/demo.ts')).demo(flags))

clientOptions(
  program
    .command('sql')
    .description('run one SELECT over your events')
    .argument('<sql...>', 'the statement, in quotes, or - to read it from stdin'),
)
  .option('--format <format>', 'table, json or csv', 'table')
  .option('--max-rows <n>', 'rows at most, up to 10000', '1000')
  .option('--timeout <ms>', 'milliseconds at most, up to 60000', '30000')
  .action(async (sql, flags) => (await import('./commands/sql.ts')).sql(sql, flags))

const tenant = program
  .command('tenant')
  .description('tenants of the deployment (needs its first client)')
clientOptions(tenant.command('list').description('list tenants')).action(async (flags) =>
  (await import('./commands/control.ts')).listTenants(flags),
)
clientOptions(
  tenant
    .command('create')
    .description('create a tenant with a source and a client')
    .argument('<tenantId>', 'small letters, digits and _, beginning with a letter'),
)
  .option('--name <name>', 'name for people')
  .action(async (id, flags) => (await import('./commands/control.ts')).createTenant(id, flags))

const client = program.command('client').description('OAuth2 clients of your tenant')
clientOptions(client.command('list').description('list clients')).action(async (flags) =>
  (await import('./commands/control.ts')).listClients(flags),
)
clientOptions(
  client
    .command('create')
    .description('create a client; its secret is shown once')
    .argument('<name>'),
)
  .requiredOption(
    '--scopes <scopes>',
    'separated by commas, for example events:read,sql:read; see docs/credentials.md',
  )
  .action(async (name, flags) => (await import('./commands/control.ts')).createClient(name, flags))
clientOptions(
  client.command('remove').description('remove a client').argument('<clientId>'),
).action(async (id, flags) => (await import('./commands/control.ts')).removeClient(id, flags))

const source = program.command('source').description('sources: sites and apps that send events')
clientOptions(source.command('list').description('list sources and their write keys')).action(
  async (flags) => (await import('./commands/control.ts')).listSources(flags),
)
clientOptions(
  source
    .command('create')
    .description('create a source')
    .argument('<name>', 'small letters, digits, - and _'),
)
  .option('--origin <origin...>', 'origins that may send, as https://shop.example (default any)')
  .action(async (name, flags) => (await import('./commands/control.ts')).createSource(name, flags))
clientOptions(
  source
    .command('allow')
    .description('set the origins that may send for a source')
    .argument('<name>', 'see millrace source list')
    .argument('<origins...>', 'for example https://shop.example; "any" for all'),
).action(async (name, origins, flags) =>
  (await import('./commands/control.ts')).allowOrigins(name, origins, flags),
)

clientOptions(
  program
    .command('import')
    .description('send a file of events, one JSON object a line; safe to run again')
    .argument('<file>'),
)
  .option('--source <name>', 'source to import into (default the first)')
  .option('--live', 'treat times as those of live traffic (default: keep them as they are)')
  .action(async (file, flags) => (await import('./commands/import.ts')).importCommand(file, flags))

clientOptions(
  program.command('simulate').description('fill your tenant with made-up visits of a shop'),
)
  .option('--visits <n>', 'visits, about 600 events each', '2400')
  .option('--days <n>', 'over the last days', '7')
  .option('--seed <n>', 'the same seed makes the same visits', '7')
  .action(async (flags) => (await import('./commands/simulate.ts')).simulateCommand(flags))

program
  .command('doctor')
  .description('look at this machine and a data folder, and say what is wrong')
  .option('--data <dir>', 'data folder (default millrace-data, else millrace-demo)')
  .action(async (flags) => (await import('./commands/doctor.ts')).doctor(flags))

/** `millrace … | head` closes the pipe: whoever reads has enough, and that is no error. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

/** Says what is wrong, and returns the exit code. Messages may hold text of others. */
function report(error: unknown): number {
  // Its own words are on stderr already; asking for help or the version is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ERRORS.bad_input.exitCode
  if (error instanceof MillraceError) {
    process.stderr.write(`error: ${lines(error.message)}\nhint: ${lines(error.hint)}\n`)
    return error.exitCode
  }
  process.stderr.write(
    `error: a fault of millrace: ${lines(error instanceof Error ? error.message : String(error))}\n` +
      'hint: MILLRACE_LOG_LEVEL=debug shows where; please report it.\n',
  )
  if (showsStack && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return 1
}

function lines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
