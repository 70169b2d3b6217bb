//! What is said, in three languages. The words are this file's own; what every translation of WSL has in common is kept:
//! the codes, the addresses, the commands, the order of the versions.

use crate::conditions::Language;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Done,
    Usage,
    UnknownArgument(String),
    MissingValue(String),
    BadVersion,
    NotInstalled,
    Version1Only,
    VirtualizationOff,
    RebootPending,
    NoDistros,
    NoSuchDistro,
    NoSuchFile,
    NameTaken,
    PlaceTaken,
    ImportFailed,
    DiskFull,
    Busy,
    Cancelled,
    NoUser,
    Unexpected,
    ListHeader,
    DefaultVersion(u8),
    /// WSL's own version; the others are made up.
    Versions(String),
}

/// The word before an error's code.
pub(crate) fn code_label(language: Language) -> &'static str {
    match language {
        Language::English => "Error code: ",
        Language::German => "Fehlercode: ",
        Language::Japanese => "エラー コード: ",
    }
}

/// Heading, and the words for running, stopped and being installed, of the long list.
pub(crate) fn table_words(language: Language) -> ([&'static str; 3], [&'static str; 3]) {
    match language {
        Language::English => (
            ["NAME", "STATE", "VERSION"],
            ["Running", "Stopped", "Installing"],
        ),
        Language::German => (
            ["NAME", "STATUS", "VERSION"],
            ["Wird ausgeführt", "Beendet", "Wird installiert"],
        ),
        Language::Japanese => (
            ["名前", "状態", "バージョン"],
            ["実行中", "停止", "インストール中"],
        ),
    }
}

impl Message {
    /// In this language, lines parted by `\n`.
    pub(crate) fn text(&self, language: Language) -> String {
        let [english, german, japanese] = self.texts();
        match language {
            Language::English => english,
            Language::German => german,
            Language::Japanese => japanese,
        }
    }

    fn texts(&self) -> [String; 3] {
        let fixed = |texts: [&str; 3]| texts.map(str::to_owned);
        match self {
            Self::Done => fixed(["It worked.", "Das hat geklappt.", "完了しました。"]),
            Self::Usage => fixed([
                "An argument is wrong.",
                "Ein Argument ist falsch.",
                "引数が正しくありません。",
            ]),
            Self::UnknownArgument(word) => [
                format!("There is no argument {word}\nSee 'wsl.exe --help'."),
                format!("Das Argument {word} gibt es nicht\nSiehe 'wsl.exe --help'."),
                format!("引数 {word} はありません\n'wsl.exe --help' を見てください。"),
            ],
            Self::MissingValue(word) => [
                format!("The argument {word} lacks its value."),
                format!("Dem Argument {word} fehlt sein Wert."),
                format!("引数 {word} に値がありません。"),
            ],
            Self::BadVersion => fixed([
                "No such version.",
                "Keine solche Version.",
                "その版はありません。",
            ]),
            Self::NotInstalled => fixed([
                "WSL is not on this computer. Get it with 'wsl.exe --install'.\nMore: https://aka.ms/wslinstall",
                "WSL ist nicht auf diesem Computer. Es kommt mit 'wsl.exe --install'.\nMehr: https://aka.ms/wslinstall",
                "WSL がありません。'wsl.exe --install' で入ります。\n詳細: https://aka.ms/wslinstall",
            ]),
            Self::Version1Only => fixed([
                "Only version 1 can be used here.",
                "Hier geht nur Version 1.",
                "ここでは版 1 だけが使えます。",
            ]),
            Self::VirtualizationOff => fixed([
                "Virtualization is off.\nSwitch it on: wsl.exe --install --no-distribution\nhttps://aka.ms/enablevirtualization",
                "Die Virtualisierung ist aus.\nSo geht sie an: wsl.exe --install --no-distribution\nhttps://aka.ms/enablevirtualization",
                "仮想化がオフです。\n次で有効になります: wsl.exe --install --no-distribution\nhttps://aka.ms/enablevirtualization",
            ]),
            Self::RebootPending => fixed([
                "A service is not there yet.",
                "Ein Dienst ist noch nicht da.",
                "サービスはまだありません。",
            ]),
            Self::NoDistros => fixed([
                "There are no distributions.",
                "Es gibt keine Distributionen.",
                "ディストリビューションはありません。",
            ]),
            Self::NoSuchDistro => fixed([
                "No distribution has that name.",
                "Keine Distribution heißt so.",
                "その名前のディストリビューションはありません。",
            ]),
            Self::NoSuchFile => fixed([
                "No such file.",
                "Keine solche Datei.",
                "そのファイルはありません。",
            ]),
            Self::NameTaken => fixed([
                "A distribution has that name already.",
                "Eine Distribution heißt schon so.",
                "その名前はもうあります。",
            ]),
            Self::PlaceTaken => fixed([
                "That place is in use.",
                "Dieser Ort ist belegt.",
                "その場所は使用中です。",
            ]),
            Self::ImportFailed => fixed([
                "It could not be imported.",
                "Das ließ sich nicht importieren.",
                "インポートできませんでした。",
            ]),
            Self::DiskFull => fixed([
                "The disk has no room.",
                "Auf dem Datenträger ist kein Platz.",
                "ディスクに空きがありません。",
            ]),
            Self::Busy => fixed([
                "The distribution is being installed.",
                "Die Distribution wird installiert.",
                "ディストリビューションはインストール中です。",
            ]),
            Self::Cancelled => fixed([
                "Nobody confirmed it.",
                "Niemand hat es bestätigt.",
                "確認されませんでした。",
            ]),
            Self::NoUser => fixed([
                "No such user.",
                "Kein solcher Benutzer.",
                "そのユーザーはいません。",
            ]),
            Self::Unexpected => fixed(["It failed.", "Es ging schief.", "失敗しました。"]),
            Self::ListHeader => fixed([
                "Distributions:",
                "Distributionen:",
                "ディストリビューション:",
            ]),
            Self::DefaultVersion(version) => [
                format!("Usual version: {version}"),
                format!("Übliche Version: {version}"),
                format!("既定の版: {version}"),
            ],
            Self::Versions(wsl) => {
                let rest = ["6.6.87.2-1", "1.0.66", "1.2.6074", "1.611.1-81528511"];
                let lines = |word: &str, colon: &str| {
                    let names = ["WSL", "Linux", "WSLg", "MSRDC", "Direct3D", "Windows"];
                    let numbers = [wsl.as_str()].into_iter().chain(rest);
                    let lines = names
                        .into_iter()
                        .zip(numbers.chain(["10.0.26100.4061"]))
                        .map(|(name, number)| [name, word, colon, number].concat());
                    lines.collect::<Vec<_>>().join("\n")
                };
                [
                    lines(" version", ": "),
                    lines("-Version", ": "),
                    lines(" の版", "："),
                ]
            }
        }
    }
}
