/** The latest arrivals, newest first; a rejected one says why and where. */
import { clockTime } from '../kit/format.ts'
import type { Arrival } from './arrivals.ts'

function Accepted({ arrival }: { arrival: Arrival }) {
  return (
    <tr>
      <td class="time">{clockTime(arrival.receivedMs)}</td>
      <td>
        <span class="type">{arrival.eventType}</span>
      </td>
      <td class="clip" title={arrival.path}>
        {arrival.path}
      </td>
      <td class="clip mono" title={arrival.target}>
        {arrival.target}
      </td>
      <td class="source">{arrival.source}</td>
    </tr>
  )
}

function Rejected({ arrival }: { arrival: Arrival }) {
  return (
    <tr class="rejected">
      <td class="time">{clockTime(arrival.receivedMs)}</td>
      <td>
        <span class="type type-bad">{arrival.code}</span>
      </td>
      <td class="clip" title={arrival.detail}>
        <code>{arrival.pointer || '/'}</code> {arrival.detail}
      </td>
      <td class="clip mono" title={arrival.raw}>
        {arrival.raw}
      </td>
      <td class="source">{arrival.source}</td>
    </tr>
  )
}

export function ArrivalTable({ arrivals }: { arrivals: readonly Arrival[] }) {
  return (
    <div class="table-scroll">
      <table class="arrivals">
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Type</th>
            <th scope="col">Path</th>
            <th scope="col">Target</th>
            <th scope="col">Source</th>
          </tr>
        </thead>
        <tbody>
          {arrivals.map((arrival) =>
            arrival.rejected ? (
              <Rejected key={arrival.key} arrival={arrival} />
            ) : (
              <Accepted key={arrival.key} arrival={arrival} />
            ),
          )}
        </tbody>
      </table>
    </div>
  )
}
