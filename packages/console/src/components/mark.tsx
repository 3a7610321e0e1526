/** The mark: a water wheel over its race. The same drawing as mark.svg, in the colour of the text. */
const BLADES =
  'M22.8 14.1L25.3 18.4M19.8 18.5L18.5 23.3M14.5 19.4L10.2 21.9M10.1 16.4L5.3 15.1M9.2 11.1L6.7 6.8M12.2 6.7L13.5 1.9M17.5 5.8L21.8 3.3M21.9 8.8L26.7 10.1'
const WATER = 'M2 28.4c2.4-2.2 4.6-2.2 7 0s4.6 2.2 7 0 4.6-2.2 7 0 4.6 2.2 7 0'

export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <g fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round">
        <circle cx="16" cy="12.6" r="7" />
        <path d={BLADES} />
        <path d={WATER} />
      </g>
      <circle cx="16" cy="12.6" r="2" fill="currentColor" />
    </svg>
  )
}
