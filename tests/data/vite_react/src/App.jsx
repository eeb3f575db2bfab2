import { useEffect, useState } from 'react'
import Title from './Title.jsx'

export default function App() {
  const [lines, setLines] = useState([])
  const [socket, setSocket] = useState(null)
  useEffect(() => {
    const opened = new WebSocket(`ws://${location.host}/api/ws/echo`)
    opened.onmessage = (event) => setLines((before) => [...before, event.data])
    setSocket(opened)
    return () => opened.close()
  }, [])
  return (
    <main>
      <Title />
      <button id="say" onClick={() => socket.send(`hello ${lines.length}`)}>Say hello</button>
      <ol id="lines">{lines.map((line) => <li key={line}>{line}</li>)}</ol>
    </main>
  )
}
