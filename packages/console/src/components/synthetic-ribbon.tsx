/** Says that what is shown was made up. On every page, whenever the chosen tenant's data is synthetic. */
export function SyntheticRibbon({ name }: { name: string }) {
  return (
    <div class="ribbon" role="note">
      <strong>SYNTHETIC</strong>
      <span>
        The data of “{name}” was generated for demonstration. No visitor made it, and no conclusion
        about people can be drawn from it.
      </span>
    </div>
  )
}
