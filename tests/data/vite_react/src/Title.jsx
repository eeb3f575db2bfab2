export default function Title() {
  return <h1>First words</h1>
}
