/// The XMP packet (ISO 16684-1) that says in IPTC's vocabulary that a picture was made by a trained model.
enum XMP {
  /// The keyword of the iTXt chunk that holds XMP in PNG.
  static let keyword = "XML:com.adobe.xmp"
  /// What a JPEG's APP1 segment with XMP begins with.
  static let jpegPrefix = "http://ns.adobe.com/xap/1.0/\0"

  /// IPTC NewsCodes, digital source type.
  static let trainedAlgorithmicMedia = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

  static func packet(tool: String) -> String {
    """
    <?xpacket begin="\u{feff}" id="W5M0MpCehiHzreSzNTczkc9d"?>
    <x:xmpmeta xmlns:x="adobe:ns:meta/">
     <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about=""
        xmlns:xmp="http://ns.adobe.com/xap/1.0/"
        xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
        xmp:CreatorTool="\(escaped(tool))"
        Iptc4xmpExt:DigitalSourceType="\(trainedAlgorithmicMedia)"/>
     </rdf:RDF>
    </x:xmpmeta>
    <?xpacket end="r"?>
    """
  }

  private static func escaped(_ text: String) -> String {
    text.oneLine.reduce(into: "") { out, c in
      switch c {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(c)
      }
    }
  }
}
